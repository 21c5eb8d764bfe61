"""The page in a real browser: tables sort, nothing is fetched, nothing is cut off, it prints."""

import pandas as pd
import pytest

from experiments import report, run, sweep
from experiments.figures import base
from experiments.figures.base import SCREEN, SINGLE, blank, style
from experiments.reports.page import Gallery, Section, page, save
from sim.registries import protocols
from sim.scenario import scenario_of
from tests import browser
from tests.conftest import TINY

PIXELS = base.DPI
"""Of an inch of a figure."""
TABLE = pd.DataFrame(
    {
        "name": ["b10", "a", "b9", "c"],
        "income": [12_000.0, -7_579.25, float("nan"), 303.0],
        "accuracy": ["0.932 (0.930 to 0.933)", "–", "0.870 (0.811 to 0.911)", "1,200"],
    }
)


@pytest.fixture(scope="module", autouse=True)
def _all_pixels():
    """Write figures with all pixels of a real report: here their number counts."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(base, "DPI", PIXELS)
        yield


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    panels = []
    with style():
        for name, width in (("narrow", 3.0), ("wide", 7.0)):
            small = blank(SCREEN, 6) if width > SCREEN else None
            sheets = [sheet for sheet in (blank(width, 3), small) if sheet]
            for sheet in sheets:
                sheet.subplots().plot([1, 2])
            texts = (name, name.title(), "A line.", "fedstake report DIR")
            panels.append(save(sheets[0], TABLE, folder, *texts, small=small))
    many = pd.DataFrame({f"column.number.{i}": range(60) for i in range(20)})
    rules = ["prediction-market", "deposit refund take", "x" * 200]
    rules_wide = pd.DataFrame({"rule": rules, "attack": rules[:1] * 3})
    rules_wide = rules_wide.join(many.head(3))
    text = page(
        "Title",
        "subtitle",
        [
            Section("Table", TABLE, legend={"income": "what it got"}),
            Gallery(panels, ["Broken: could not be drawn (ValueError: <no>)."]),
            Section("Many", many),
            Section("Rules", rules_wide),
            Section("Text", pre="x" * 500),
        ],
    )
    (folder / "report.html").write_text(text)
    return folder / "report.html"


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    if not browser.find():
        pytest.skip(f"no browser on this machine ({', '.join(browser.NAMES)})")
    opened = browser.Browser(tmp_path_factory.mktemp("profile"))
    yield opened
    opened.close()


def cells(chromium, i):
    return chromium.run(
        f"[...document.querySelector('table').tBodies[0].rows].map(r => r.cells[{i}].textContent)"
    )


def sorting(chromium):
    return chromium.run(
        "[...document.querySelector('table').tHead.rows[0].cells]"
        ".map(c => c.getAttribute('aria-sort'))"
    )


def click(chromium, i):
    chromium.run(f"document.querySelectorAll('table thead button')[{i}].click()")


def test_numbers_sort_as_numbers_and_blanks_stay_last(written, chromium):
    chromium.open(written)
    click(chromium, 1)
    assert cells(chromium, 1) == ["−7,579", "303", "12,000", "–"]
    assert sorting(chromium) == ["none", "ascending", "none"]
    click(chromium, 1)
    assert cells(chromium, 1) == ["12,000", "303", "−7,579", "–"]
    assert sorting(chromium) == ["none", "descending", "none"]
    click(chromium, 2)
    assert cells(chromium, 0) == ["b9", "b10", "c", "a"]
    click(chromium, 0)
    assert cells(chromium, 0) == ["a", "b9", "b10", "c"]
    assert sorting(chromium) == ["ascending", "none", "none"]


def test_the_keyboard_sorts_as_well(written, chromium):
    chromium.open(written)
    for _ in range(20):
        chromium.press("Tab")
        if chromium.run("document.activeElement.textContent") == "income":
            break
    assert chromium.run("document.activeElement.tagName") == "BUTTON"
    assert chromium.run("getComputedStyle(document.activeElement).outlineStyle") == "solid", (
        "the focus can be seen"
    )
    chromium.press("Enter")
    assert cells(chromium, 1)[0] == "−7,579"
    chromium.press(" ")
    assert sorting(chromium) == ["none", "descending", "none"]


def test_without_script_it_is_a_plain_table(written):
    text = written.read_text()
    assert "<th scope=col>income</th>" in text
    assert "Columns: <b>income</b> what it got." in text
    assert "could not be drawn (ValueError: &lt;no&gt;)" in text
    assert "<button" not in text


def test_nothing_is_fetched(written, chromium):
    chromium.calls.clear()
    chromium.open(written)
    assert [c for c in chromium.calls if not c.startswith("data:")] == [written.resolve().as_uri()]


@pytest.mark.parametrize("width", [1280, 400])
@pytest.mark.parametrize("dark", [False, True])
def test_the_page_fits_and_can_be_read(written, chromium, width, dark):
    chromium.open(written, width=width, dark=dark)
    assert chromium.run("document.documentElement.scrollWidth <= innerWidth"), (
        "only tables scroll sideways"
    )
    assert chromium.run("[...document.images].every(i => i.complete && i.naturalWidth > 0)")
    scale = (
        "[...document.images]"
        f".map(i => i.getBoundingClientRect().width / (i.naturalWidth / {PIXELS}))"
    )
    assert min(chromium.run(scale)) >= 96, "an inch, of which text takes a ninth, is an inch"
    assert too_wide(chromium) == []
    assert all(c >= 4.5 for c in chromium.run(CONTRAST))
    assert (
        chromium.run("getComputedStyle(document.querySelector('.plate')).backgroundColor")
        == "rgb(255, 255, 255)"
    )


def too_wide(chromium):
    """What ends beyond the screen, but for what stands in a box that scrolls."""
    return chromium.run(
        "[...document.querySelectorAll('body *')].filter(e => !e.closest('.wrap table, pre') && "
        "e.getBoundingClientRect().right > innerWidth + 1).map(e => e.outerHTML.slice(0, 80))"
    )


CONTRAST = """(() => {
  const linear = (x) => (x <= 0.04045 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4);
  const light = (color) => {
    const [r, g, b] = color.match(/[\\d.]+/g).slice(0, 3).map((x) => linear(x / 255));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (e) => {
    for (; e; e = e.parentElement) {
      const color = getComputedStyle(e).backgroundColor;
      if (!color.startsWith("rgba(0, 0, 0, 0")) return color;
    }
    return "rgb(255, 255, 255)";
  };
  return [...document.querySelectorAll("h1,h2,h3,p,td,button,figcaption,a,code,pre")].map((e) => {
    const pair = [light(getComputedStyle(e).color), light(behind(e))];
    return (Math.max(...pair) + 0.05) / (Math.min(...pair) + 0.05);
  });
})()"""


def test_what_is_wider_than_its_place_says_so(written, chromium):
    """A table of twenty columns."""
    more = "[...document.querySelectorAll('.more')].map(e => e.getAttribute('aria-label'))"
    hint = "getComputedStyle(document.querySelector('.more'), '::before').content"
    chromium.open(written)
    assert chromium.run(more) == ["Many", "Rules"]
    assert "scroll sideways" in chromium.run(hint)
    chromium.open(written, width=400)
    assert "Many" in chromium.run(more)


def test_the_first_column_stays(written, chromium):
    chromium.open(written)
    left = (
        "(() => { const wrap = document.querySelector('[aria-label=Many]'); wrap.scrollLeft = 300;"
        "const cell = wrap.querySelector('td'); "
        "return cell.getBoundingClientRect().left - wrap.getBoundingClientRect().left; })()"
    )
    assert chromium.run(left) == pytest.approx(0, abs=1)


WORDS = """[...document.querySelectorAll("[aria-label=Rules] td.text")].flatMap((cell) => {
  const text = cell.firstChild;
  const word = /[^ -]+-?/g;
  return [...text.data.matchAll(word)].map((found) => {
    const range = document.createRange();
    range.setStart(text, found.index);
    range.setEnd(text, found.index + found[0].length);
    return [found[0], range.getClientRects().length];
  });
})"""
"""Each word of the table and how many lines it takes."""


@pytest.mark.parametrize("width", [1280, 400])
def test_no_word_of_a_wide_table_is_broken_but_what_has_no_room(written, chromium, width):
    chromium.open(written, width=width)
    found = chromium.run(WORDS)
    assert {word for word, lines in found if lines > 1} == {"x" * 200}
    first = "document.querySelector('[aria-label=Rules] td').getBoundingClientRect().width"
    assert chromium.run(first) <= 0.5 * width, "what stays leaves room for what scrolls"


@pytest.mark.parametrize("width", [1280, 400])
def test_each_row_has_its_separator_under_the_column_that_stays(written, chromium, width):
    """The column is painted over the table, each row over the one before: none hides a line."""
    chromium.open(written, width=width)
    below = "[...document.querySelectorAll('tbody tr + tr td:first-child')]"
    styles = f"{below}.map(e => getComputedStyle(e))"
    assert set(chromium.run(f"{styles}.map(s => s.borderTopWidth)")) == {"1px"}
    assert set(chromium.run(f"{styles}.map(s => s.borderCollapse)")) == {"separate"}
    assert set(chromium.run(f"{styles}.map(s => s.position)")) == {"sticky"}
    heights = chromium.run(f"{below}.map(e => e.getBoundingClientRect().height % 1)")
    assert set(heights) == {0}, "whole pixels, so that lines of all columns meet"


def test_it_prints(written, chromium, tmp_path):
    chromium.open(written, dark=True)
    chromium.pdf(tmp_path / "page.pdf")
    assert (tmp_path / "page.pdf").read_bytes().startswith(b"%PDF")
    chromium.call(
        "Emulation.setEmulatedMedia",
        media="print",
        features=[{"name": "prefers-color-scheme", "value": "dark"}],
    )
    assert (
        chromium.run("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    ), "paper is white"
    assert set(
        chromium.run(
            "[...document.querySelectorAll('figure')].map(f => getComputedStyle(f).breakInside)"
        )
    ) == {"avoid"}


def of_a_run(tiny, folder):
    return run(tiny(adversaries__0__count=2, rounds=2), folder / "run")


def of_a_market(tiny, folder):
    return run(scenario_of(protocols.get("market").example()), folder / "run")


def of_a_sweep(tiny, folder):
    lazy = {"count": 2, "worker": "free-ride-zero"}
    attack = {"nobody": {"adversaries": []}, "lazy": {"adversaries": [lazy]}}
    spec = {
        "name": "s",
        "scenario": "vbfl",
        "set": {**TINY, "rounds": 2},
        "scorecard": {"mechanism": "payout.mechanism", "adversary": "attack"},
        "design": [{"factors": {"payout.mechanism": ["vbfl", "flat"], "attack": attack}}],
    }
    return sweep(spec, folder / "s", workers=1)


@pytest.mark.slow
@pytest.mark.parametrize("recorded", [of_a_run, of_a_market, of_a_sweep])
def test_nothing_of_a_report_is_wider_than_a_small_screen(tiny, tmp_path, chromium, recorded):
    page = report(recorded(tiny, tmp_path))
    text = page.read_text()
    assert "model-accuracy" not in text, "the accuracy of a market has its figure"
    assert text.count("<source media=") == text.count("<figure"), "each is drawn for small screens"
    chromium.open(page, width=400)
    assert chromium.run("document.documentElement.scrollWidth <= innerWidth")
    assert too_wide(chromium) == []
    drawn = chromium.run("[...document.images].map(i => i.naturalWidth)")
    assert drawn
    assert max(drawn) <= PIXELS * SINGLE, "drawn for the screen, not scaled down"
