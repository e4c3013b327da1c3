// Package plugin is the check {{name}}: no word of a list may be left behind in what a job adds.
package plugin

import (
	"strings"

	"worker.local/plugin/bindings/worker"
)

const schema = `{
  "type": "object",
  "additionalProperties": false,
  "properties": { "words": { "type": "array", "items": { "type": "string", "minLength": 1 } } }
}`

// Describe says what the plugin is.
func Describe() worker.Info {
	return worker.Describe("{{name}}", "0.1.0", "no left-over words in added lines", schema)
}

// Validate says what the schema cannot say.
func Validate() []worker.Problem {
	return nil
}

// Run looks at the job. What cannot be read is an error: the check fails with its words.
func Run() (worker.Report, error) {
	settings := struct{ Words []string }{Words: []string{"FIXME"}}
	if err := worker.Settings(&settings); err != nil {
		return worker.Report{}, err
	}
	report := worker.Passed()
	for _, file := range worker.Changed() {
		err := worker.Added(file.Path, func(number uint64, text string) {
			for _, word := range settings.Words {
				if strings.Contains(text, word) {
					hint := "do what the " + word + " says, or remove it"
					worker.Find("left-over", worker.Error, word+" left behind", file.Path, number, hint)
					report = worker.Failed()
				}
			}
		})
		if err != nil {
			return worker.Report{}, err
		}
	}
	return report, nil
}
