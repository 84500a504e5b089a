#!/usr/bin/env python3
"""test_page: the page of `lazaret report` in a real browser, with markup in every text of the record.

test_page.py PAGE   `PAGE TEXT FILE` writes the page with the text everywhere. TAP on stdout.
"""
import html.parser
import os
import shutil
import subprocess
import sys
import tempfile

BROWSER = shutil.which("chromium-headless-shell") or shutil.which("chromium")
# Each leaves an element or a title that is not ours, if it is taken as markup or runs.
HOSTILE = [
    "<script>document.title='pwned'</script>",
    "<img src=x onerror=\"document.title='pwned'\">",
    "'\"><svg onload=document.title='pwned'>",
    "</style><style>*{display:none}</style><b class=pwned>",
    "</pre></title><iframe srcdoc=\"<b>pwned</b>\"></iframe>",
    "<a href=\"javascript:document.title='pwned'\">x</a><form action=http://127.0.0.1:1/><input autofocus "
    "onfocus=document.title='pwned'>",
    "<meta http-equiv=refresh content=\"0;url=data:text/html,pwned\">",
    "--><!--<base href=//x/>",
]


class Tags(html.parser.HTMLParser):
    """The names of all elements, with their attributes' names."""

    def __init__(self, text):
        super().__init__()
        self.found = []
        self.title = ""
        self.in_title = False
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, tuple(name for name, _ in attrs)))
        self.in_title = tag == "title" and not self.title

    def handle_endtag(self, tag):
        self.in_title = False

    def handle_data(self, data):
        self.title += data if self.in_title else ""


def browse(text, *args):
    """The document as the browser has it after loading and running it."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "page.html")
        with open(path, "w", encoding="utf-8") as page:
            page.write(text)
        sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
        return subprocess.run([BROWSER, *sandbox, "--disable-gpu", f"--user-data-dir={folder}/profile",
                               *args, "--dump-dom", f"file://{path}"], stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL, timeout=240, check=True).stdout.decode()


def page(text):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "page.html")
        subprocess.run([sys.argv[1], text, path], stdout=subprocess.DEVNULL, timeout=60, check=True)
        with open(path, encoding="utf-8") as made:
            return made.read()


def markup_in_a_record_is_text_in_a_browser():
    plain = Tags(browse(page("plain")))
    assert len(plain.found) > 100, plain.found
    for text in HOSTILE:
        seen = Tags(browse(page(text)))
        assert seen.title == plain.title, (text, seen.title)
        assert seen.found == plain.found, (text, set(seen.found) ^ set(plain.found))


def the_browser_would_have_run_it():
    """Else the test above could not fail."""
    for text in HOSTILE[:3]:
        assert "pwned</title>" in browse(f"<title>ours</title><p>{text}</p>"), text


def even_a_script_that_got_into_the_page_would_not_run():
    text = page("plain").replace("</main>", HOSTILE[0] + HOSTILE[1] + "</main>")
    assert Tags(browse(text)).title == Tags(browse(page("plain"))).title


def main():
    tests = [markup_in_a_record_is_text_in_a_browser, the_browser_would_have_run_it,
             even_a_script_that_got_into_the_page_would_not_run]
    if not BROWSER:
        print("1..0 # SKIP no chromium-headless-shell")
        return 0
    print(f"1..{len(tests)}")
    failed = 0
    for number, test in enumerate(tests, 1):
        try:
            test()
            print(f"ok {number} - {test.__name__}")
        except (AssertionError, subprocess.SubprocessError) as e:
            failed += 1
            print(f"# {e}\nnot ok {number} - {test.__name__}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
