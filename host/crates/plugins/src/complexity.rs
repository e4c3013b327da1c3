//! The cost of compiling a component, found out before it is compiled: a small file can keep a
//! compiler busy for hours, and a compiler cannot be interrupted.
//!
//! Most of the cost grows with the bytes, which WORKER_PLUGIN_MAX_BYTES bounds. What grows faster is counted here, in one
//! pass over the file: values that are carried over the joins of a function's control flow, parts that cost far more than
//! the few bytes that declare them, and components that instantiate components.

use wasmparser::{
    BinaryReaderError, ComponentAlias, ComponentExternalKind, ComponentInstance,
    ComponentOuterAliasKind, ComponentTypeRef, Encoding, FunctionBody, Operator, Parser, Payload,
};

/// The reason why a component is not given to the compiler. The text is a clause about the component.
#[derive(Debug, thiserror::Error)]
pub(super) enum ComplexityError {
    /// It has more of something than is compiled.
    #[error("would take too long to compile: it has {found} {what}; {most} are compiled")]
    TooMuch {
        found: u64,
        most: u64,
        what: &'static str,
    },
    /// It cannot be read.
    #[error("is no valid component: {0}")]
    Format(#[from] BinaryReaderError),
    /// The component that instantiates this one decides which component is instantiated in it.
    #[error("hands components around as values, whose cost nobody can tell")]
    Value,
}

/// The features that make compiling expensive.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Complexity {
    /// Functions, and types of functions.
    functions: u64,
    /// Bytes of the longest function.
    longest: u64,
    /// Loops that lie in one another: the compiler's time grows with the cube of it.
    nested: u64,
    /// Values carried over joins in one function, at most: its locals times its blocks and branches.
    carried: u64,
    /// The same of all functions together.
    carried_in_all: u64,
    /// Components and core modules, one within the other or side by side.
    modules: u64,
    /// The objects made when the whole is instantiated: instances, and functions lifted and lowered
    /// between them.
    made: u64,
}

impl Complexity {
    /// The most that is compiled: some ten times what the interpreters of Python and JavaScript need, which are the largest
    /// components that people make (14,654 functions and types, the longest of 426,843 bytes; 6 nested loops; 579,378 values carried in
    /// one function and 14,981,921 in all; 18 modules; 212 things made).
    const MOST: Complexity = Complexity {
        functions: 150_000,
        longest: 2 << 20,
        nested: 60,
        carried: 4_000_000,
        carried_in_all: 100_000_000,
        modules: 200,
        made: 2_000,
    };

    /// Refuses what would cost too much.
    pub(super) fn check(component: &[u8]) -> Result<(), ComplexityError> {
        let found = count(component)?;
        let Self {
            functions,
            longest,
            nested,
            carried,
            carried_in_all,
            modules,
            made,
        } = found;
        let most = Self::MOST;
        let rows = [
            (functions, most.functions, "functions and types"),
            (longest, most.longest, "bytes in one function"),
            (nested, most.nested, "loops within one another"),
            (
                carried,
                most.carried,
                "values carried over the branches of one function",
            ),
            (
                carried_in_all,
                most.carried_in_all,
                "values carried over the branches of its functions",
            ),
            (modules, most.modules, "modules"),
            (made, most.made, "instances and functions between them"),
        ];
        match rows.into_iter().find(|(found, most, _)| found > most) {
            Some((found, most, what)) => Err(ComplexityError::TooMuch { found, most, what }),
            None => Ok(()),
        }
    }
}

/// Returns true if a component uses the asynchronous ABI: it lifts or lowers a function by it, or calls one of its built-in
/// functions, as the runtimes of some languages do without need.
pub(super) fn is_asynchronous(component: &[u8]) -> Result<bool, ComplexityError> {
    use wasmparser::{CanonicalFunction as Function, CanonicalOption as Choice};
    for payload in Parser::new(0).parse_all(component) {
        let Payload::ComponentCanonicalSection(functions) = payload? else {
            continue;
        };
        for function in functions {
            let asynchronous = match function? {
                Function::Lift { options, .. } | Function::Lower { options, .. } => options
                    .iter()
                    .any(|choice| matches!(choice, Choice::Async | Choice::Callback(_))),
                Function::ResourceNew { .. }
                | Function::ResourceDrop { .. }
                | Function::ResourceRep { .. } => false,
                _ => true,
            };
            if asynchronous {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// A component or module that the pass is in.
enum Scope {
    Module {
        /// The most parameters or results of any type of function: what a block may carry beside the locals.
        widest: u64,
    },
    Component {
        /// The objects made for one instance of it.
        made: u64,
        /// The same of each component that it can name, by index.
        components: Vec<u64>,
    },
}

fn count(component: &[u8]) -> Result<Complexity, ComplexityError> {
    let mut found = Complexity::default();
    let mut scopes: Vec<Scope> = Vec::new();
    for payload in Parser::new(0).parse_all(component) {
        let payload = payload?;
        match (&payload, scopes.last_mut()) {
            (Payload::Version { encoding, .. }, _) => {
                found.modules += 1;
                scopes.push(match encoding {
                    Encoding::Module => Scope::Module { widest: 0 },
                    Encoding::Component => Scope::Component {
                        made: 1,
                        components: Vec::new(),
                    },
                });
            }
            (Payload::End(_), _) => {
                let ended = scopes.pop();
                if let Some(Scope::Component { made, .. }) = ended {
                    match scopes.last_mut() {
                        Some(Scope::Component { components, .. }) => components.push(made),
                        _ => found.made = made,
                    }
                }
            }
            (Payload::TypeSection(types), Some(Scope::Module { widest })) => {
                found.functions += u64::from(types.count());
                for function in types.clone().into_iter_err_on_gc_types() {
                    let function = function?;
                    let wide = function.params().len().max(function.results().len());
                    *widest = (*widest).max(wide as u64);
                }
            }
            (Payload::CodeSectionEntry(body), Some(Scope::Module { widest })) => {
                count_function(&mut found, body, *widest)?;
            }
            (Payload::ComponentTypeSection(types), _) => {
                found.functions += u64::from(types.count());
            }
            (Payload::InstanceSection(instances), Some(Scope::Component { made, .. })) => {
                *made = made.saturating_add(instances.count().into());
            }
            (
                Payload::ComponentCanonicalSection(functions),
                Some(Scope::Component { made, .. }),
            ) => {
                *made = made.saturating_add(functions.count().into());
            }
            (
                Payload::ComponentInstanceSection(instances),
                Some(Scope::Component { made, components }),
            ) => {
                for instance in instances.clone() {
                    *made = made.saturating_add(match instance? {
                        ComponentInstance::FromExports(_) => 1,
                        // An index that does not exist is for the compiler to refuse.
                        ComponentInstance::Instantiate {
                            component_index, ..
                        } => components
                            .get(component_index as usize)
                            .copied()
                            .unwrap_or(1),
                    });
                }
            }
            (Payload::ComponentAliasSection(aliases), _) => {
                for alias in aliases.clone() {
                    match alias? {
                        ComponentAlias::Outer {
                            kind: ComponentOuterAliasKind::Component,
                            count,
                            index,
                        } => {
                            let outer = scopes.len().checked_sub(1 + count as usize);
                            let made = match outer.and_then(|at| scopes.get(at)) {
                                Some(Scope::Component { components, .. }) => {
                                    components.get(index as usize).copied().unwrap_or(1)
                                }
                                _ => 1,
                            };
                            if let Some(Scope::Component { components, .. }) = scopes.last_mut() {
                                components.push(made);
                            }
                        }
                        ComponentAlias::InstanceExport {
                            kind: ComponentExternalKind::Component,
                            ..
                        } => {
                            return Err(ComplexityError::Value);
                        }
                        _ => {}
                    }
                }
            }
            (Payload::ComponentImportSection(imports), _) => {
                for import in imports.clone() {
                    if matches!(import?.ty, ComponentTypeRef::Component(_)) {
                        return Err(ComplexityError::Value);
                    }
                }
            }
            (
                Payload::ComponentExportSection(exports),
                Some(Scope::Component { components, .. }),
            ) => {
                // An export is a name of its own for what it exports.
                for export in exports.clone() {
                    let export = export?;
                    if export.kind == ComponentExternalKind::Component {
                        let made = components.get(export.index as usize).copied().unwrap_or(1);
                        components.push(made);
                    }
                }
            }
            _ => {}
        }
    }
    Ok(found)
}

/// Adds what a function costs. Its joins carry at most each of its locals, and the widest block's values, at each end of
/// a block and at each branch.
fn count_function(
    found: &mut Complexity,
    body: &FunctionBody<'_>,
    widest: u64,
) -> Result<(), ComplexityError> {
    let mut width = widest;
    for locals in body.get_locals_reader()? {
        width = width.saturating_add(locals?.0.into());
    }
    let mut joins = 1u64;
    // Whether each block that is open is a loop.
    let mut open = Vec::new();
    let mut loops = 0u64;
    for operator in body.get_operators_reader()? {
        joins += match operator? {
            Operator::Loop { .. } => {
                open.push(true);
                loops += 1;
                found.nested = found.nested.max(loops);
                1
            }
            Operator::Block { .. } | Operator::If { .. } => {
                open.push(false);
                1
            }
            Operator::End => {
                loops -= u64::from(open.pop() == Some(true));
                0
            }
            Operator::Else | Operator::Br { .. } | Operator::BrIf { .. } => 1,
            Operator::BrTable { targets } => 1 + u64::from(targets.len()),
            _ => 0,
        };
    }
    let carried = width.saturating_mul(joins);
    found.functions += 1;
    found.longest = found.longest.max(body.as_bytes().len() as u64);
    found.carried = found.carried.max(carried);
    found.carried_in_all = found.carried_in_all.saturating_add(carried);
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]
    use super::*;

    /// An unsigned number as WebAssembly writes it.
    fn number(mut value: u32) -> Vec<u8> {
        let mut bytes = Vec::new();
        while value > 0x7f {
            bytes.push(value as u8 | 0x80);
            value >>= 7;
        }
        bytes.push(value as u8);
        bytes
    }

    fn section(id: u8, content: &[u8]) -> Vec<u8> {
        [&[id], &number(content.len() as u32)[..], content].concat()
    }

    const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";

    /// A component of these sections.
    fn component(sections: &[Vec<u8>]) -> Vec<u8> {
        [COMPONENT, &sections.concat()].concat()
    }

    /// A component with one core module of functions without parameters or results.
    fn functions(count: u32, body: &[u8]) -> Vec<u8> {
        let declared = [number(count), vec![0; count as usize]].concat();
        let code = [number(body.len() as u32), body.to_vec()]
            .concat()
            .repeat(count as usize);
        let module = [
            b"\0asm\x01\0\0\0".to_vec(),
            section(1, &[1, 0x60, 0, 0]),
            section(3, &declared),
            section(10, &[number(count), code].concat()),
        ]
        .concat();
        component(&[section(1, &module)])
    }

    /// Loops within loops, so many times, the innermost of which changes every local: each loop's head has to carry them
    /// all.
    fn loops(locals: u32, depth: usize, times: usize) -> Vec<u8> {
        let mut body = [vec![1], number(locals), vec![0x7f]].concat();
        for time in 0..times {
            body.extend([0x03, 0x40].repeat(depth));
            for local in (0..locals).filter(|_| time == 0) {
                // local.get 0, local.set LOCAL
                body.extend([vec![0x20, 0, 0x21], number(local)].concat());
            }
            // local.get 0, br_if 0, end
            body.extend([0x20, 0, 0x0d, 0, 0x0b].repeat(depth));
        }
        body.push(0x0b);
        body
    }

    /// A table of branches to the only block, over and over.
    fn branches(locals: u32, targets: u32) -> Vec<u8> {
        let table = [
            vec![0x20, 0, 0x0e],
            number(targets),
            vec![0; targets as usize + 1],
        ]
        .concat();
        [
            vec![1],
            number(locals),
            vec![0x7f, 0x02, 0x40],
            table,
            vec![0x0b, 0x0b],
        ]
        .concat()
    }

    /// Components that each instantiate the one before twice.
    fn doubling(times: u32) -> Vec<u8> {
        let mut sections = vec![section(4, COMPONENT)];
        for before in 0..times {
            // An alias of the component `before` outside, and two instances of it.
            let alias = [vec![1, 4, 2, 1], number(before)].concat();
            let twice = component(&[section(6, &alias), section(5, &[2, 0, 0, 0, 0, 0, 0])]);
            sections.push(section(4, &twice));
        }
        sections.push(section(5, &[vec![1, 0], number(times), vec![0]].concat()));
        component(&sections)
    }

    #[test]
    fn small_files_that_would_keep_the_compiler_busy_are_refused_by_what_they_hold() {
        let nop = [0, 0x0b];
        let long = [vec![0], vec![0x01; 2 << 20], vec![0x0b]].concat();
        let modules = section(1, b"\0asm\x01\0\0\0").repeat(200);
        let rows: [(&str, Vec<u8>, &str); 9] = [
            (
                "functions",
                functions(150_001, &nop),
                "150002 functions and types; 150000 are compiled",
            ),
            (
                "a long body",
                functions(1, &long),
                "bytes in one function; 2097152",
            ),
            (
                "nested loops",
                functions(1, &loops(1, 61, 1)),
                "61 loops within one another; 60",
            ),
            (
                "loops",
                functions(1, &loops(2_000, 50, 40)),
                "values carried over the branches of one function",
            ),
            (
                "branches",
                functions(1, &branches(50_000, 1_000)),
                "values carried over the branches of one function",
            ),
            (
                "many middling functions",
                functions(60, &loops(1_000, 50, 20)),
                "values carried over the branches of its functions",
            ),
            ("modules", component(&[modules]), "201 modules; 200"),
            (
                "doubling",
                doubling(40),
                "instances and functions between them",
            ),
            (
                "doubling without end",
                doubling(90),
                "instances and functions between them",
            ),
        ];
        for (name, bytes, says) in rows {
            let error = Complexity::check(&bytes).unwrap_err().to_string();
            assert!(
                error.starts_with("would take too long to compile: it has ")
                    && error.contains(says),
                "{name}: {error}"
            );
        }
    }

    #[test]
    fn the_same_in_small_is_compiled() {
        for bytes in [
            functions(1_000, &[0, 0x0b]),
            functions(1, &loops(100, 50, 10)),
            functions(1, &branches(100, 1_000)),
            doubling(5),
        ] {
            Complexity::check(&bytes).unwrap();
            // They are what they claim to be, and no bytes that the engine would refuse for themselves.
            let engine = wasmtime::Engine::default();
            wasmtime::component::Component::from_binary(&engine, &bytes).unwrap();
        }
        let found = count(&doubling(5)).unwrap();
        // 1 for each of the 32 smallest, and for each that makes two of them.
        assert_eq!((found.modules, found.made), (7, 64));
    }

    #[test]
    fn a_component_that_is_only_known_at_the_end_is_refused() {
        // A type of components without anything, and an import of one.
        let kind = section(7, &[1, 0x41, 0]);
        let import = section(10, &[1, 0, 1, b'c', 4, 0]);
        let error = Complexity::check(&component(&[kind, import]))
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with("hands components around as values"),
            "{error}"
        );
    }

    #[test]
    fn what_is_no_component_is_told_as_that() {
        for bytes in [
            &b""[..],
            b"\0asm",
            &functions(3, &[0, 0x0b])[..40],
            &loops(3, 3, 3),
        ] {
            let error = Complexity::check(bytes).unwrap_err().to_string();
            assert!(error.starts_with("is no valid component: "), "{error}");
        }
    }
}
