/* report: a record as one page of HTML that needs nothing else. See report.h. */
#include "report/report.h"

#include "base/own.h"
#include "report/report_private.h"

#include <inttypes.h>
#include <string.h>

/* Nothing in the page may run, load or be sent, whatever is in it. */
static const char head[] =
    "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
    "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
    "style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'\">\n"
    "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
    "<meta name=\"referrer\" content=\"no-referrer\">\n<title>lazaret report: ";

static const char style[] =
    "</title>\n<style>\n"
    ":root{--ink:#1d2430;--soft:#5c6470;--line:#d9dde3;--paper:#fff;--back:#f3f5f8;"
    "--good:#1b7f4b;--bad:#b3261e;--warn:#8a5a00}\n"
    "*{box-sizing:border-box}\n"
    "body{margin:0;background:var(--back);color:var(--ink);font:15px/1.5 system-ui,sans-serif}\n"
    "main{max-width:1000px;margin:0 auto;padding:24px}\n"
    "header,section{background:var(--paper);border:1px solid var(--line);border-radius:10px;"
    "padding:18px 22px;margin:0 0 16px}\n"
    "h1{font-size:20px;margin:0 0 2px}h2{font-size:16px;margin:0 0 4px}\n"
    ".by,small,.axis text{color:var(--soft)}.by{margin:0 0 8px;font-size:13px}\n"
    ".verdict{display:flex;gap:12px;flex-wrap:wrap;margin:14px 0}\n"
    ".verdict div{flex:1 1 260px;border-left:5px solid var(--soft);background:var(--back);"
    "padding:10px 14px;border-radius:4px}\n"
    ".verdict b{display:block;font-size:18px}.verdict .good{border-color:var(--good)}\n"
    ".verdict .bad{border-color:var(--bad)}.verdict .warn{border-color:var(--warn)}\n"
    "dl{display:grid;grid-template-columns:max-content 1fr;gap:2px 16px;margin:0;font-size:14px}\n"
    "dt{color:var(--soft)}dd{margin:0;overflow-wrap:anywhere}\n"
    "table{border-collapse:collapse;width:100%;font-size:13.5px}\n"
    "th{text-align:left;color:var(--soft);font-weight:600}\n"
    "td,th{padding:4px 10px 4px 0;border-bottom:1px solid var(--line);vertical-align:top;"
    "overflow-wrap:anywhere}\n"
    "td.w,th{white-space:nowrap;overflow-wrap:normal}\n"
    "td.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}\n"
    "td i{display:inline-block;width:9px;height:9px;border-radius:5px;margin-right:6px}\n"
    "code,pre{font:12.5px/1.45 ui-monospace,monospace;overflow-wrap:anywhere}\n"
    "pre{white-space:pre-wrap;background:var(--back);padding:10px;border-radius:6px}\n"
    "summary{cursor:pointer;color:var(--soft);font-size:13px}\n"
    ".holds{color:var(--good);font-weight:600}.broken{color:var(--bad);font-weight:600}\n"
    ".absent{color:var(--warn)}\n"
    ".guest{border:1px solid var(--warn);color:var(--warn);border-radius:4px;padding:0 5px;"
    "margin-right:6px;font-size:12px}\n"
    ".plots{display:grid;grid-template-columns:repeat(auto-fit,minmax(380px,1fr));gap:12px}\n"
    "figure{margin:0}figcaption{font-weight:600;font-size:13.5px}svg{width:100%;height:auto}\n"
    ".axis path{stroke:var(--line);fill:none}.axis text{font-size:11px;fill:var(--soft)}\n"
    ".area{fill-opacity:.28;stroke-width:1.5}\n"
    "@media print{body{background:#fff}main{max-width:none;padding:0}"
    "header,section{border:0;padding:0 0 10px;break-inside:auto}tr,figure{break-inside:avoid}"
    "details:not([open])>*{display:none}}\n"
    "</style></head><body><main>\n";

static void card(struct str *page, const char *class, const char *what, const char *text)
{
    str_addf(page, "<div class=\"%s\"><b>", class);
    html_text(page, what);
    html_raw(page, "</b>");
    html_text(page, text);
    html_raw(page, "</div>\n");
}

static void card_of_end(const struct report_lines *l, struct str *page)
{
    const struct report_line *end = report_lines_first(l, "end");
    const char *class = end ? report_text(end->d, "class") : "";
    own_free char *what = NULL;

    if (!end) {
        card(page, "warn", "No end on record", "it lives still, or whoever wrote this was killed");
        return;
    }
    what = str_printf("%s, status %" PRIu64, class, report_number(end->d, "status"));
    card(page,
         strcmp(class, "exited") == 0 && report_number(end->d, "status") == 0 ? "good" : "warn",
         what, report_text(end->d, "error"));
}

static size_t count_rows(const struct report_lines *l, const char *verdict)
{
    const struct report_line *line = report_lines_first(l, "layers");
    const struct doc *rows = line ? report_list(line->d, "rows") : NULL;
    size_t n = 0;

    for (size_t i = 0; i < doc_len(rows); i++)
        n += strcmp(report_text(doc_at(rows, i), "verdict"), verdict) == 0;
    return n;
}

static void card_of_layers(const struct report_lines *l, struct str *page)
{
    const struct report_line *begin = report_lines_first(l, "begin");
    size_t hold = count_rows(l, "holds"), broken = count_rows(l, "broken");
    own_free char *what = str_printf("%zu layers hold, %zu broken", hold, broken);
    own_free char *text = str_printf("%zu absent on this host", count_rows(l, "absent"));

    if (begin && doc_has(begin->d, "debug"))
        card(page, "warn", "Debug, not confined",
             "its jobs may trace: nothing here is promised of a run without --debug");
    if (hold + broken == 0)
        card(page, "warn", "Confinement was not read", "it did not come up");
    else
        card(page, broken ? "bad" : "good", what, text);
}

static void card_of_record(const struct report_lines *l, const struct verify_report *v,
                           struct str *page)
{
    static const struct {
        const char *class, *what;
    } of[] = {
        [VERIFY_WHOLE] = {"good", "The record is whole"},
        [VERIFY_REFUSED] = {"bad", "The record is refused"},
        [VERIFY_INCOMPLETE] = {"warn", "The record is incomplete"},
    };
    own_free char *text = str_printf("%" PRIu64 " lines, %" PRIu64 " signed. %s%s%s", v->lines,
                                     v->signed_lines, v->why, l->why[0] ? ". " : "", l->why);

    card(page, of[v->verdict].class, of[v->verdict].what, text);
}

static void fact(struct str *page, const char *what, const char *text)
{
    if (!*text)
        return;
    html_element(page, "dt", what);
    html_element(page, "dd", text);
}

static void facts(const struct report_lines *l, const struct verify_report *v, struct str *page)
{
    static const struct {
        const char *what, *type, *key;
    } of[] = {
        {"began", "begin", "time"},          {"sandbox", "begin", "name"},
        {"lazaret", "begin", "lazaret"},     {"host kernel", "begin", "kernel"},
        {"image", "image", "name"},          {"image digest", "image", "digest"},
        {"root hash", "image", "root_hash"}, {"accelerator", "up", "accel"},
        {"machine", "up", "machine"},        {"QEMU", "up", "qemu"},
        {"libvirt", "up", "libvirt"},
    };

    html_raw(page, "<dl>");
    fact(page, "record", v->id);
    for (size_t i = 0; i < sizeof(of) / sizeof(of[0]); i++) {
        const struct report_line *line = report_lines_first(l, of[i].type);

        if (line)
            fact(page, of[i].what, report_text(line->d, of[i].key));
    }
    fact(page, "signed by", v->key);
    html_raw(page, "</dl>\n");
}

static void verified(const struct verify_report *v, struct str *page)
{
    html_raw(page,
             "<section><h2>How this was checked</h2><p>Each line of the record has the "
             "SHA-256 of the one before; the last one is under an Ed25519 signature of the "
             "host in a ledger apart from it. This page is a view of the record and no "
             "evidence by itself. Check the record yourself:</p><pre>lazaret verify --trusted "
             "KEY ");
    html_text(page, v->id);
    html_raw(page, "</pre></section>\n");
}

void report_format(const struct report_lines *l, const struct verify_report *v, struct str *page)
{
    html_raw(page, head);
    html_text(page, v->id);
    html_raw(page, style);
    html_raw(page, "<header><h1>");
    html_text(page, v->id);
    html_raw(page, "</h1><p class=\"by\">What a guest of lazaret did, by its host's record</p>"
                   "<div class=\"verdict\">\n");
    card_of_end(l, page);
    card_of_layers(l, page);
    card_of_record(l, v, page);
    html_raw(page, "</div>");
    facts(l, v, page);
    html_raw(page, "</header>\n");
    report_alerts(l, page);
    report_commands(l, page);
    report_history(l, page);
    report_resources(l, page);
    report_denials(l, page);
    report_wrote(l, page);
    report_changes(l, page);
    report_egress(l, page);
    report_outputs(l, page);
    report_layers(l, page);
    report_files(l, page);
    verified(v, page);
    html_raw(page, "</main></body></html>\n");
}
