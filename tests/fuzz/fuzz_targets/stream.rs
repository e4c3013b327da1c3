#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| mcp_codex_worker_gateway::fuzzing::stream(data));
