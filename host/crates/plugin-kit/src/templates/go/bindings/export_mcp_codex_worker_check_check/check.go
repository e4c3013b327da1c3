// Package export_mcp_codex_worker_check_check calls the plugin's Run.
package export_mcp_codex_worker_check_check

import (
	"fmt"

	"worker.local/plugin"
	"worker.local/plugin/bindings/mcp_codex_worker_check_check"
	"worker.local/plugin/bindings/mcp_codex_worker_types_types"
	witTypes "worker.local/plugin/bindings/wit/types"
)

type (
	report = mcp_codex_worker_check_check.Report
	fault  = mcp_codex_worker_types_types.Fault
)

// Run fails the check with the words of an error, or of a panic: Go's own end of a panic waits, which a plugin may not.
func Run() (answer witTypes.Result[report, fault]) {
	failed := func(words string) witTypes.Result[report, fault] {
		return witTypes.Err[report, fault](mcp_codex_worker_types_types.MakeFaultFailed(words))
	}
	defer func() {
		if reason := recover(); reason != nil {
			answer = failed(fmt.Sprint("panic: ", reason))
		}
	}()
	given, err := plugin.Run()
	if err != nil {
		return failed(err.Error())
	}
	return witTypes.Ok[report, fault](given)
}
