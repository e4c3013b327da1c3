// Package export_mcp_codex_worker_types_plugin calls the plugin's Describe and Validate.
package export_mcp_codex_worker_types_plugin

import (
	"worker.local/plugin"
	"worker.local/plugin/bindings/mcp_codex_worker_types_plugin"
	"worker.local/plugin/bindings/mcp_codex_worker_types_types"
	witTypes "worker.local/plugin/bindings/wit/types"
)

type fault = mcp_codex_worker_types_types.Fault

// Describe says what the plugin is.
func Describe() witTypes.Result[mcp_codex_worker_types_plugin.Info, fault] {
	return witTypes.Ok[mcp_codex_worker_types_plugin.Info, fault](plugin.Describe())
}

// Validate says what is wrong with the settings.
func Validate() witTypes.Result[[]mcp_codex_worker_types_plugin.Problem, fault] {
	return witTypes.Ok[[]mcp_codex_worker_types_plugin.Problem, fault](plugin.Validate())
}
