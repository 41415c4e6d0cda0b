"""A real browser: Debian's chromium, or what the variable CHROMIUM names, driven by playwright."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from netloom.compile import check, check_file
from netloom.diagnostics import Source
from netloom.emit.view.page import page

BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def executable() -> str | None:
    """The browser on this machine, if there is one."""
    named = os.environ.get("CHROMIUM")
    return named or next((path for name in BROWSERS if (path := shutil.which(name))), None)


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    reason = "no playwright: `make browser` installs it"
    playwright = pytest.importorskip("playwright.sync_api", reason=reason)
    path = executable()
    if path is None:
        pytest.skip("no chromium: install it, or set CHROMIUM to a browser's path")
    # Chromium's sandbox does not start for root; the pages are our own.
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    with playwright.sync_playwright() as running:
        found = running.chromium.launch(executable_path=path, args=arguments)
        yield found
        found.close()


class Opened:
    """A page in the browser, with all that went wrong on it and all that it asked for."""

    def __init__(self, browser: Any, path: Path, **context: Any) -> None:
        self.tab = browser.new_page(viewport={"width": 1300, "height": 900}, **context)
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self.tab.on("console", lambda message: self.complaints.append(message.text))
        self.tab.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.tab.on("dialog", lambda dialog: self.complaints.append(dialog.message))
        self.tab.on("request", lambda request: self.requests.append(request.url))
        self.tab.goto(path.as_uri())

    def __call__(self, script: str, argument: Any = None) -> Any:
        """What a script finds on the page; `argument` is its parameter."""
        return self.tab.evaluate(script, argument)


class Opener:
    """Opens pages; when a test ends, none of them may have complained or fetched anything."""

    def __init__(self, browser: Any, folder: Path) -> None:
        self.browser, self.folder = browser, folder
        self.opened: list[Opened] = []

    def text(self, text: str, **context: Any) -> Opened:
        """The page of a spec."""
        spec = check(Source("net.loom", text))
        return self.page(page(spec, list(spec.networks)), **context)

    def file(self, path: Path, network: str, **context: Any) -> Opened:
        """The page of one network of a spec file."""
        return self.page(page(check_file(path), [network]), **context)

    def page(self, text: str, **context: Any) -> Opened:
        """That page."""
        path = self.folder / f"page{len(self.opened)}.html"
        path.write_text(text, encoding="utf-8")
        self.opened.append(Opened(self.browser, path, **context))
        return self.opened[-1]


@pytest.fixture
def show(browser: Any, tmp_path: Path) -> Iterator[Opener]:
    opener = Opener(browser, tmp_path)
    yield opener
    for each in opener.opened:
        assert each.complaints == []
        assert [url for url in each.requests if not url.startswith(("file:", "blob:"))] == []
        each.tab.close()
