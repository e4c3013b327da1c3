// Package export_mcp_codex_worker_check_check calls the plugin's Run.
package export_mcp_codex_worker_check_check

import (
	"worker.local/plugin"
	"worker.local/plugin/bindings/mcp_codex_worker_check_check"
	"worker.local/plugin/bindings/mcp_codex_worker_types_types"
	witTypes "worker.local/plugin/bindings/wit/types"
)

// Run fails the check with the words of an error.
func Run() witTypes.Result[mcp_codex_worker_check_check.Report, mcp_codex_worker_types_types.Fault] {
	type report = mcp_codex_worker_check_check.Report
	type fault = mcp_codex_worker_types_types.Fault
	answer, err := plugin.Run()
	if err != nil {
		return witTypes.Err[report, fault](mcp_codex_worker_types_types.MakeFaultFailed(err.Error()))
	}
	return witTypes.Ok[report, fault](answer)
}
