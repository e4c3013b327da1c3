/* Check `{{name}}`: no word of a list may be left behind in what a job adds. */
#include <string.h>
#include "check_plugin.h"

typedef check_plugin_string_t string;

/* The word; `settings.json()` gives the settings as JSON text, for a reader of your choice. */
static const char WORD[] = "FIXME";

bool exports_mcp_codex_worker_types_plugin_describe(
    exports_mcp_codex_worker_types_plugin_info_t *info,
    exports_mcp_codex_worker_types_plugin_fault_t *fault) {
  (void)fault;
  /* What a plugin returns is freed by the bindings: copies. */
  check_plugin_string_dup(&info->name, "{{name}}");
  check_plugin_string_dup(&info->version, "0.1.0");
  check_plugin_string_dup(&info->summary, "no left-over words in added lines");
  info->settings_schema.is_some = true;
  check_plugin_string_dup(&info->settings_schema.val, "{\"type\": \"object\", \"additionalProperties\": false}");
  return true;
}

bool exports_mcp_codex_worker_types_plugin_validate(
    exports_mcp_codex_worker_types_plugin_list_problem_t *problems,
    exports_mcp_codex_worker_types_plugin_fault_t *fault) {
  (void)fault;
  problems->ptr = NULL;
  problems->len = 0;
  return true;
}

static bool contains(const uint8_t *text, size_t size, const char *word) {
  size_t length = strlen(word);
  for (size_t at = 0; at + length <= size; at++)
    if (memcmp(text + at, word, length) == 0) return true;
  return false;
}

static void report(string *path, uint64_t line) {
  string rule, message, hint;
  check_plugin_string_set(&rule, "left-over");
  check_plugin_string_set(&message, "FIXME left behind");
  check_plugin_string_set(&hint, "do what the FIXME says, or remove it");
  mcp_codex_worker_check_findings_own_finding_t finding =
      mcp_codex_worker_check_findings_constructor_finding(
          &rule, MCP_CODEX_WORKER_CHECK_FINDINGS_SEVERITY_ERROR, &message);
  mcp_codex_worker_check_findings_borrow_finding_t found =
      mcp_codex_worker_check_findings_borrow_finding(finding);
  mcp_codex_worker_check_findings_place_t place = {.path = *path, .start_line = (uint32_t)line};
  mcp_codex_worker_check_findings_method_finding_at(found, &place);
  mcp_codex_worker_check_findings_method_finding_hint(found, &hint);
  mcp_codex_worker_check_findings_finding_drop_own(finding);
}

/* Looks at the lines that the job added to a file, page by page; false when they cannot be read. */
static bool look(string *path, bool *failed) {
  uint64_t last = 0;
  for (bool more = true; more;) {
    mcp_codex_worker_check_job_line_page_t page;
    mcp_codex_worker_check_job_read_error_t error;
    if (!mcp_codex_worker_check_job_changed_lines(
            path, MCP_CODEX_WORKER_CHECK_JOB_MOMENT_AFTER, last, 1 << 20, &page, &error)) {
      mcp_codex_worker_check_job_read_error_free(&error);
      return false;
    }
    for (size_t at = 0; at < page.lines.len; at++) {
      mcp_codex_worker_check_job_changed_line_t *line = &page.lines.ptr[at];
      last = line->number;
      if (contains(line->text.ptr, line->text.len, WORD)) {
        report(path, last);
        *failed = true;
      }
    }
    more = page.more;
    mcp_codex_worker_check_job_line_page_free(&page);
  }
  return true;
}

bool exports_mcp_codex_worker_check_check_run(
    exports_mcp_codex_worker_check_check_report_t *answer,
    exports_mcp_codex_worker_check_check_fault_t *fault) {
  mcp_codex_worker_check_job_list_changed_file_t files;
  mcp_codex_worker_check_job_changed_files(&files);
  bool failed = false, seen = true;
  for (size_t at = 0; at < files.len && seen; at++) seen = look(&files.ptr[at].path, &failed);
  mcp_codex_worker_check_job_list_changed_file_free(&files);
  if (!seen) {
    /* What could not be seen has not passed. */
    fault->tag = MCP_CODEX_WORKER_TYPES_TYPES_FAULT_FAILED;
    check_plugin_string_dup(&fault->val.failed, "a changed file cannot be read");
    return false;
  }
  answer->outcome.tag = failed ? EXPORTS_MCP_CODEX_WORKER_CHECK_CHECK_OUTCOME_FAILED
                               : EXPORTS_MCP_CODEX_WORKER_CHECK_CHECK_OUTCOME_PASSED;
  check_plugin_string_dup(&answer->summary, "");
  return true;
}
