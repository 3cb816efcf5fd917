"""A sheet as a page, in a real browser: it works from a file, and asks for nothing else."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dreamvid.page import to_html
from dreamvid.sheets import Tile, write_sheet

SCRIPT = "</script><script>alert(1)</script>"
QUOTED = 'guide(mixed4c, "a\'s.jpg")'


def picture(side: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (side, side, 3), np.uint8)


TILES = [
    Tile("channel 10", picture(64, 0), "mixed4a:10", "eyes of dogs", 2.5),
    Tile("channel 9", picture(64, 1), "mixed4a:9", "wheels & eyes", 10.0),
    Tile(SCRIPT, picture(32, 2), QUOTED, 'a <b>bold</b> "name" {{sheet}} <!-- é \u2028', None),
    Tile("channel 2", picture(96, 3), "mixed4a:2", "towers", 0.5, (picture(16, 4), picture(16, 5))),
    Tile("the picture", picture(64, 6)),
]
TITLE = "Dreams <of> & a network"
ABOUT = "layer: mixed4a\n</pre><b>"
IN_ORDER = [tile.title for tile in TILES]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """One browser for all of these tests."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    names = ("chromium", "chromium-browser", "google-chrome")
    found = next(filter(None, map(shutil.which, names)), None)
    if found is None:
        pytest.skip(f"no browser here: none of {', '.join(names)}")
    # --no-sandbox: as root, as in a container, there is none.
    flags = "no-sandbox disable-gpu disable-quic no-first-run disable-background-networking"
    flags += " disable-component-update disable-sync disable-dev-shm-usage"
    with sync_api.sync_playwright() as playwright:
        words = [f"--{flag}" for flag in flags.split()]
        chromium = playwright.chromium.launch(executable_path=found, args=words)
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page."""
    path = tmp_path_factory.mktemp("page") / "sheet.html"
    write_sheet(path, TILES, TITLE, ABOUT, overwrite=False)
    return path


@pytest.fixture
def page(browser: Any, file: Path) -> Iterator[Any]:
    """The page, opened; whatever is done with it, it asks for nothing and finds no fault."""
    context = browser.new_context(reduced_motion="reduce")
    context.set_default_timeout(10_000)
    page = context.new_page()
    asked, faults = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: faults.append(message.text))
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("dialog", lambda dialog: faults.append(dialog.message))
    page.goto(file.as_uri())
    yield page
    context.close()
    assert [url for url in asked if not url.startswith("data:")] == [file.as_uri()]
    assert faults == []


def titles(page: Any) -> list[str]:
    """Of the tiles that can be seen, in their order."""
    return page.locator("main figure:visible h2").all_text_contents()


def wait_for_keyboard(page: Any, title: str) -> None:
    """Once the large view is closed, the keyboard goes on at the tile that was shown last."""
    at_it = "label => document.activeElement.ariaLabel === label"
    page.wait_for_function(at_it, arg=f"Open {title}")


def test_all_texts_are_shown_as_they_are_and_all_pictures_are_whole(page: Any):
    assert page.title() == TITLE
    assert page.locator("h1").text_content() == TITLE
    assert titles(page) == IN_ORDER
    notes = page.locator("main .note").all_text_contents()
    assert notes == [tile.note for tile in TILES if tile.note]
    assert page.locator("#about").text_content().splitlines()[1:] == [
        f"# {line}" for line in ABOUT.splitlines()
    ]
    page.wait_for_function("[...document.images].every((i) => i.complete)")
    images = page.evaluate("[...document.images].map((i) => [i.naturalWidth, i.alt])")
    assert [width for width, _ in images] == [64, 64, 32, 96, 16, 16, 64]
    assert all(alt for _, alt in images)
    assert images[2][1] == SCRIPT


FOUND = {
    "eyes": [0, 1],
    "EYES  wheels": [1],
    "mixed4a:1": [0],
    "channel": [0, 1, 3],
    "<b>": [2],
    "eyes towers": [],
    " ": [0, 1, 2, 3, 4],
}


def test_a_search_leaves_what_has_all_the_words(page: Any):
    for words, left in FOUND.items():
        page.locator("h1").click()
        page.keyboard.press("/")  # which leads to the search
        page.keyboard.press("Control+A")
        page.keyboard.type(words)
        assert titles(page) == [TILES[index].title for index in left]
        of = f"{len(left)} of {len(TILES)}" if len(left) < len(TILES) else f"{len(TILES)} tiles"
        assert page.locator("#count").text_content() == of
        assert page.locator("#nothing").is_visible() == (not left)


def test_tiles_are_sorted_by_title_and_score_and_back(page: Any):
    page.select_option("#sort", "score")
    # The highest first; what has none last, in its own order.
    assert titles(page) == [IN_ORDER[index] for index in (1, 0, 3, 2, 4)]
    page.select_option("#sort", "title")
    assert [name for name in titles(page) if name.startswith("channel")] == [
        "channel 2",
        "channel 9",
        "channel 10",
    ]
    page.fill("#search", "eyes")
    page.select_option("#sort", "score")
    assert titles(page) == ["channel 9", "channel 10"]
    page.fill("#search", "")
    page.select_option("#sort", "order")
    assert titles(page) == IN_ORDER


def test_where_nothing_has_a_score_there_is_none_to_sort_by(browser: Any, tmp_path: Path):
    path = tmp_path / "bare.html"
    write_sheet(path, [Tile("one", picture(16, 0))], "", "", False)
    with browser.new_page() as page:
        page.goto(path.as_uri())
        offered = page.eval_on_selector_all("#sort option", "all => all.map((o) => o.value)")
        assert offered == ["order", "title"]
        assert page.locator(".copy").count() == 0


def test_the_slider_makes_tiles_larger(page: Any):
    picture = page.locator("main img").first
    width = {}
    for zoom in ("80", "400"):
        page.locator("#zoom").fill(zoom)
        width[zoom] = picture.bounding_box()["width"]
        assert float(zoom) <= width[zoom] <= 1.5 * float(zoom)
    page.locator("#zoom").press("ArrowLeft")
    assert page.evaluate("document.querySelector('#zoom').value") == "390"
    assert width["400"] > 3 * width["80"]


def test_a_click_opens_a_tile_large_and_keys_move_to_its_neighbours(page: Any):
    large = page.locator("dialog h2")
    page.locator("main .open").first.click()
    assert large.text_content() == "channel 10"
    assert page.locator("#large > img").bounding_box()["width"] > 300
    page.keyboard.press("ArrowRight")
    assert large.text_content() == "channel 9"
    for key in ("ArrowLeft", "ArrowLeft"):  # round to the last
        page.keyboard.press(key)
    assert large.text_content() == "the picture"
    page.keyboard.press("ArrowLeft")
    assert large.text_content() == "channel 2"
    assert page.locator("dialog .beside img").count() == 2
    page.keyboard.press("Home")
    assert large.text_content() == "channel 10"
    page.keyboard.press("Escape")
    assert not page.locator("dialog").is_visible()


def test_the_large_view_moves_among_what_was_found_as_it_is_sorted(page: Any):
    page.fill("#search", "channel")
    page.select_option("#sort", "score")
    page.locator("main .open:visible").first.focus()
    page.keyboard.press("Enter")
    seen = []
    for _ in range(4):
        seen.append(page.locator("dialog h2").text_content())
        page.get_by_role("button", name="Next").click()
    assert seen == ["channel 9", "channel 10", "channel 2", "channel 9"]
    page.get_by_role("button", name="Close").click()
    wait_for_keyboard(page, "channel 10")


def flag(objective: str) -> str:
    return "--objective '" + objective.replace("'", "'\\''") + "'"


COPIES = {"a clipboard": "", "one that refuses": "() => Promise.reject()", "none": "undefined"}


@pytest.mark.parametrize("way", COPIES)
def test_the_objective_of_a_tile_is_copied_as_a_shell_reads_it(page: Any, way: str):
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    if COPIES[way]:
        page.evaluate(
            "Object.defineProperty(navigator, 'clipboard', "
            f"{{value: {{writeText: {COPIES[way]}}}}})"
        )
    for index, large in ((0, False), (2, True), (1, True), (2, False)):
        if large:
            page.locator("main .open").nth(index).click()
        where = page.locator("dialog .copy") if large else page.locator("main .copy").nth(index)
        where.click()
        expected = flag(TILES[index].objective)
        told = f"Copied {expected}"
        page.wait_for_function(
            "told => document.querySelector('#said').innerText === told", arg=told
        )
        assert page.locator("#said.shown").is_visible()
        if large:
            page.keyboard.press("Escape")
            wait_for_keyboard(page, TILES[index].title)
        page.focus("#search")
        for _ in range(10):  # Chromium loses a key now and then on a busy machine
            page.keyboard.press("Control+V")
            if page.input_value("#search") == expected:
                break
            page.wait_for_timeout(200)
            page.fill("#search", "")
        assert page.input_value("#search") == expected
        page.fill("#search", "")


def test_nothing_is_wider_than_a_phone(page: Any):
    page.set_viewport_size({"width": 360, "height": 700})
    page.locator("#zoom").fill("640")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    page.locator("main .open").nth(3).click()
    assert page.evaluate("document.querySelector('dialog').scrollWidth") <= 360


def test_a_page_is_closed_to_all_that_is_outside():
    text = to_html(TILES, TITLE, ABOUT)
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', text)
    allowed = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert allowed["default-src"] == "'none'"
    assert allowed["img-src"] == "data:"
    assert set("".join(allowed.values()).replace("'", " ").split()) <= {
        "none",
        "unsafe-inline",
        "data:none",
        "data:",
    }
    assert not re.search(r"https?:|//\w+\.", text.replace(json.dumps(ABOUT), ""))
    assert text.count("</script>") == 2
    data = re.search(r'id="sheet">(.*)</script>', text)
    assert data
    told = json.loads(data[1])
    assert [tile["note"] for tile in told["tiles"]] == [tile.note for tile in TILES]


def test_a_score_that_is_no_number_is_none():
    tiles = [Tile("", picture(8, 0), score=score) for score in (float("nan"), float("inf"), 1.0)]
    scores = re.findall(r'"score":([^,]*),', to_html(tiles, "", ""))
    assert scores == ["null", "null", "1.0"]


def natural(side: int, rng: np.random.Generator) -> np.ndarray:
    """A picture that is as hard to encode as others are: its waves grow with their length."""
    waves = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.fftfreq(side))
    falls = 1 / np.maximum(waves, 1 / side) ** 1.5
    noise = rng.standard_normal((side, side, 1)) + 0.5 * rng.standard_normal((side, side, 3))
    values = np.fft.ifft2(np.fft.fft2(noise, axes=(0, 1)) * falls[..., None], axes=(0, 1)).real
    return np.clip(128 + 45 * values / values.std(), 0, 255).astype(np.uint8)


def test_a_whole_layer_is_a_page_of_a_few_megabytes():
    rng = np.random.default_rng(0)
    beside = tuple(natural(64, rng) for _ in range(4))
    tile = Tile("mixed4a:1", natural(96, rng), "mixed4a:1", "mean 0.123", 1.0, beside)
    one, three = (len(to_html([tile] * count, "", "")) for count in (1, 3))
    assert 512 * (three - one) / 2 < 8e6
