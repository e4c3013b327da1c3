//! Between the traits of this crate and the exports of a component. Not for authors.

use std::cell::RefCell;

use crate::bindings::dialect::exports::worker::plugin::dialect::GuestTranslation as GuestTranslationTrait;
use crate::bindings::worker::plugin::job::{
    ChangedFile, Command, LinePage, Output, ReadError, Side, Snapshot,
};
use crate::check::Backing;
use crate::{Fault, Job, Sse, Translation};

/// The host's view of a job.
pub struct HostJob<'a>(pub &'a Snapshot);

impl Job for HostJob<'_> {
    fn id(&self) -> String {
        self.0.id()
    }
    fn task(&self) -> String {
        self.0.task()
    }
    fn changed(&self) -> Vec<ChangedFile> {
        self.0.changed()
    }
    fn commands(&self) -> Vec<Command> {
        self.0.commands()
    }
    fn diff_size(&self) -> u64 {
        self.0.diff_size()
    }
    fn changed_lines(
        &self,
        path: &str,
        side: Side,
        after_line: u64,
        max_bytes: u32,
    ) -> Result<LinePage, ReadError> {
        self.0.changed_lines(path, side, after_line, max_bytes)
    }
    fn diff(&self, path: Option<&str>) -> Result<String, ReadError> {
        self.0.diff(path)
    }
    fn read(&self, path: &str, offset: u64, len: u32) -> Result<Vec<u8>, ReadError> {
        self.0.read(path, offset, len)
    }
    fn read_base(&self, path: &str, offset: u64, len: u32) -> Result<Vec<u8>, ReadError> {
        self.0.read_base(path, offset, len)
    }
    fn read_output(
        &self,
        command: u32,
        which: Output,
        offset: u64,
        len: u32,
    ) -> Result<Vec<u8>, ReadError> {
        self.0.read_output(command, which, offset, len)
    }
    fn agent_message(&self) -> String {
        self.0.agent_message()
    }
    fn backing(&self) -> Backing<'_> {
        Backing::Host(self.0)
    }
}

/// A dialect that can start a translation.
pub trait MakesTranslations: 'static {
    /// Starts one.
    ///
    /// # Errors
    /// When the dialect's settings are wrong.
    fn make(model: &str) -> Result<Box<dyn Translation>, Fault>;
}

/// The exported resource.
pub struct GuestTranslation<M> {
    translation: RefCell<Result<Box<dyn Translation>, Fault>>,
    dialect: std::marker::PhantomData<M>,
}

impl<M: MakesTranslations> GuestTranslationTrait for GuestTranslation<M> {
    fn new(model: String) -> Self {
        GuestTranslation {
            translation: RefCell::new(M::make(&model)),
            dialect: std::marker::PhantomData,
        }
    }

    fn push(&self, events: Vec<Sse>) -> Result<Vec<String>, Fault> {
        match &mut *self.translation.borrow_mut() {
            Ok(translation) => translation.push(&events),
            Err(fault) => Err(fault.clone()),
        }
    }

    fn finish(&self, complete: bool) -> Result<Vec<String>, Fault> {
        match &mut *self.translation.borrow_mut() {
            Ok(translation) => translation.finish(complete),
            Err(fault) => Err(fault.clone()),
        }
    }
}

/// Sends a panic's message to the log, so that the host can tell why the plugin trapped.
pub fn report_panics() {
    std::panic::set_hook(Box::new(|panic| {
        crate::log::write(crate::log::Level::Error, &panic.to_string());
    }));
}

/// The one instance of a plugin within an instance of its component.
#[macro_export]
#[doc(hidden)]
macro_rules! __plugin {
    ($plugin:ty, $kind:path) => {
        struct Component;

        ::std::thread_local! {
            static PLUGIN: ::std::cell::RefCell<Option<$plugin>> = const { ::std::cell::RefCell::new(None) };
        }

        fn with_plugin<R>(act: impl FnOnce(&mut $plugin) -> Result<R, $crate::Fault>) -> Result<R, $crate::Fault> {
            PLUGIN.with_borrow_mut(|plugin| match plugin {
                Some(plugin) => act(plugin),
                none => {
                    $crate::glue::report_panics();
                    let json = $crate::bindings::worker::plugin::config::json();
                    let made = <$plugin as $kind>::new($crate::settings_from(&json)?)?;
                    act(none.insert(made))
                }
            })
        }
    };
}

/// The interface `plugin`.
#[macro_export]
#[doc(hidden)]
macro_rules! __describe {
    ($plugin:ty, $kind:path) => {
        impl $crate::bindings::plugin::exports::worker::plugin::plugin::Guest for Component {
            fn describe() -> $crate::bindings::plugin::exports::worker::plugin::plugin::Info {
                $crate::bindings::plugin::exports::worker::plugin::plugin::Info {
                    name: ::std::env!("CARGO_PKG_NAME").to_owned(),
                    version: ::std::env!("CARGO_PKG_VERSION").to_owned(),
                    summary: <$plugin as $kind>::SUMMARY.to_owned(),
                    config_schema: <$plugin as $kind>::SCHEMA.map(str::to_owned),
                }
            }

            fn validate() -> Result<(), Vec<$crate::Fault>> {
                with_plugin(|_| Ok(())).map_err(|fault| ::std::vec![fault])
            }
        }
        $crate::bindings::plugin::export!(Component with_types_in $crate::bindings::plugin);
    };
}
