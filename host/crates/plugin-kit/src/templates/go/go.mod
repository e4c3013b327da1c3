module worker.local/plugin

go 1.25
