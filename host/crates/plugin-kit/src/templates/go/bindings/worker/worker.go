// Package worker has what a check needs again and again. The rest of the interface is in the packages beside it.
package worker

import (
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"

	"worker.local/plugin/bindings/mcp_codex_worker_check_check"
	"worker.local/plugin/bindings/mcp_codex_worker_check_findings"
	"worker.local/plugin/bindings/mcp_codex_worker_check_job"
	"worker.local/plugin/bindings/mcp_codex_worker_types_log"
	"worker.local/plugin/bindings/mcp_codex_worker_types_plugin"
	"worker.local/plugin/bindings/mcp_codex_worker_types_settings"
	witTypes "worker.local/plugin/bindings/wit/types"
)

type (
	// Info is what a plugin says about itself.
	Info = mcp_codex_worker_types_plugin.Info
	// Problem is something that is wrong with the settings.
	Problem = mcp_codex_worker_types_plugin.Problem
	// Report is the answer of a check.
	Report = mcp_codex_worker_check_check.Report
	// File is a changed file.
	File = mcp_codex_worker_check_job.ChangedFile
)

// Severities of a finding. An error fails the check.
const (
	Note    = mcp_codex_worker_check_findings.Severity_Note
	Warning = mcp_codex_worker_check_findings.Severity_Warning
	Error   = mcp_codex_worker_check_findings.Severity_Error
)

// Describe makes an Info; schema is a JSON Schema of the settings.
func Describe(name, version, summary, schema string) Info {
	return Info{Name: name, Version: version, Summary: summary, SettingsSchema: witTypes.Some(schema)}
}

// Settings reads the settings into a struct, over the values that it has.
func Settings(into any) error {
	return json.Unmarshal([]byte(Undisturbed(mcp_codex_worker_types_settings.Json)), into)
}

// Changed gives every changed file.
func Changed() []File {
	return Undisturbed(mcp_codex_worker_check_job.ChangedFiles)
}

// Added gives the lines that the job added to a file, with their numbers, however many there are.
func Added(path string, each func(number uint64, text string)) error {
	return changed(path, mcp_codex_worker_check_job.Moment_After, each)
}

// Removed gives the lines that the job removed from a file.
func Removed(path string, each func(number uint64, text string)) error {
	return changed(path, mcp_codex_worker_check_job.Moment_Before, each)
}

type lines = witTypes.Result[mcp_codex_worker_check_job.LinePage, mcp_codex_worker_check_job.ReadError]

// Undisturbed asks the host for something without a collection of garbage on the way: that would ask for the time while the
// host hands memory over, which ends the check. Functions of the other packages that give much are to be called in it.
func Undisturbed[T any](ask func() T) T {
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	return ask()
}

func changed(path string, moment uint8, each func(number uint64, text string)) error {
	last := uint64(0)
	for {
		answer := Undisturbed(func() lines {
			return mcp_codex_worker_check_job.ChangedLines(path, moment, last, 1<<18)
		})
		if answer.IsErr() {
			return fmt.Errorf("%s cannot be read: %w", path, readError(answer.Err()))
		}
		page := answer.Ok()
		for _, line := range page.Lines {
			last = line.Number
			each(line.Number, string(line.Text))
		}
		if !page.More {
			return nil
		}
	}
}

func readError(err mcp_codex_worker_check_job.ReadError) error {
	switch err.Tag() {
	case mcp_codex_worker_check_job.ReadError_NotFound:
		return errors.New("it is not there")
	case mcp_codex_worker_check_job.ReadError_NotGranted:
		return errors.New("the check may not see it")
	case mcp_codex_worker_check_job.ReadError_TooLarge:
		return fmt.Errorf("it has more than %d bytes", err.TooLarge())
	default:
		return errors.New(err.Other())
	}
}

// Find reports something at a line of a file; line 0 is the file as a whole, and an empty hint is none.
func Find(rule string, severity uint8, message, path string, line uint64, hint string) {
	finding := mcp_codex_worker_check_findings.MakeFinding(rule, severity, message)
	defer finding.Drop()
	finding.At(mcp_codex_worker_check_findings.Place{Path: path, StartLine: uint32(line)})
	if hint != "" {
		finding.Hint(hint)
	}
}

// Passed is the report of a check that holds.
func Passed() Report {
	return Report{Outcome: mcp_codex_worker_check_check.MakeOutcomePassed()}
}

// Failed is the report of a check that does not hold.
func Failed() Report {
	return Report{Outcome: mcp_codex_worker_check_check.MakeOutcomeFailed()}
}

// Say writes a line to the job's log.
func Say(words ...any) {
	mcp_codex_worker_types_log.Write(mcp_codex_worker_types_log.Level_Info, fmt.Sprint(words...), nil)
}
