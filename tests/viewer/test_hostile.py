"""Run folders of strangers, and requests of strangers: everything is shown as text, no path leads
out of the folders, no page of another site gets an answer."""

from __future__ import annotations

import json
import os
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from astra.errors import StoreError
from astra.runs.folder import RunFolder
from astra.runs.jsonl import to_line
from astra.types import Goal, Message, ToolCallRequest, ToolSchema
from astra.viewer.export import export_site
from astra.viewer.shelf import Shelf
from tests.support.arenas import changed, single_hop_arena
from tests.trajectories.rollouts import judgement, rollout
from tests.viewer.made import Pages, sampled, write_training

MARKUP = (
    "<script>alert(1)</script>\"><img src=x onerror=alert(2)>'</title></textarea></script>"
    "<!--{{7*7}}{% x %}javascript:alert(3)&lt;b&gt;"
)
ODD = "a\x00b\u202eevil\u2066\x1b[31m\ufeff"
_OURS = {"view.js", "uPlot.iife.min.js"}


class Seen(HTMLParser):
    """What a browser would see of a page: scripts, links, handlers."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.bad: list[str] = []
        self.tags: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        values = dict(attrs)
        self.bad += [f"{tag} {name}" for name in values if name.startswith("on") or name == "style"]
        if tag in ("img", "iframe", "object", "embed", "base", "b" * 9):
            self.bad.append(tag)
        source = (values.get("src") or "").rpartition("/")[2]
        if tag == "script" and values.get("type") != "application/json" and source not in _OURS:
            self.bad.append(f"script {values}")
        for name in ("href", "src", "action"):
            if re.match(r"\s*(javascript|data|https?|//)", values.get(name) or "", re.IGNORECASE):
                self.bad.append(f"{tag} {name} {values[name]}")


def hostile_document(text: str) -> ToolSchema:
    properties: dict[str, Any] = {
        text: {"type": text, "description": text, "enum": [text, None, {"x": text}]},
        "list": ["no schema"],
        "number": 7,
    }
    return ToolSchema(
        name="capital_of_country",
        description=text,
        parameters={"type": "object", "properties": properties, "required": [text]},
    )


def hostile_runs(path: Path, text: str) -> Path:
    """Run folders with a text wherever a stranger may put one."""
    arena = single_hop_arena()
    goal = arena.goals[0]
    spoiled = Goal.model_construct(None, **{**dict(goal), "id": text, "question": text})
    tool = arena.tools[0].model_copy(
        update={"document": hostile_document(text), "source": text, "domain": text}
    )
    bad = changed(
        arena,
        question=text,
        answer=text,
        domain=text,
        goals=(spoiled,),
        tools=(tool,),
        provenance={"source": text, text: [text], "key": "1", "seed": 0},
    )
    folder = RunFolder(path / "evil run <b>&'")
    said = Message(role="user", content=text)
    request = ToolCallRequest(id=f"call{text}", tool=text, arguments=text)
    episode = sampled(bad)
    messages = (
        *episode.trajectory.messages,
        said,
        Message(role="assistant", content=text, reasoning=text, tool_calls=(request,)),
        Message(role="tool", content=text, tool_call_id=text),
    )
    episode = episode.model_copy(
        update={
            "trajectory": episode.trajectory.model_copy(
                update={"messages": messages, "error": text, "task": text}
            )
        }
    )
    talk = rollout().model_copy(update={"model": text, "tools": (hostile_document(text),)})
    told = judgement(talk)
    told = told.model_copy(
        update={
            "judge": text,
            "findings": tuple(f.model_copy(update={"reason": text}) for f in told.findings),
        }
    )
    server = {
        "id": "1" * 16,
        "name": text,
        "description": text,
        "domain": text,
        "source": "mcp",
        "tools": [
            {
                "document": hostile_document(text).model_dump(),
                "original_name": text,
                "output_schema": {text: text},
                "examples": [{text: text}],
            }
        ],
    }
    failure = {"key": text, "stage": text, "kind": "rejected", "check": text, "message": text}
    row = {"id": bad.id, "tool": tool.model_dump(mode="json"), "arena": "", "split": "train"}
    certificate = {
        "arena": bad.id,
        "certified": False,
        "checks": [{"check": text, "passed": False, "reason": text, "evidence": {text: text}}],
        "seeds": [0],
        "sandbox": text,
        "version": text,
        "seconds": 1,
    }
    benchmark = {
        "task": text,
        "category": text,
        "trial": 0,
        "score": 0.0,
        "error": text,
        "messages": [said.model_dump(mode="json")],
        "usage": {"prompt_tokens": 1, "completion_tokens": 1},
        "detail": text,
    }
    write_training(folder.path, [bad])
    credit = json.loads((folder.path / "credit.jsonl").read_text("utf-8"))
    credit["steps"][0]["text"] = credit["phase"] = credit["task"] = text
    metrics = [{"step": step, text: step, "seconds": 1} for step in (1, 2)]
    files: dict[str, list[Any]] = {
        "arenas": [bad.row().model_dump(mode="json")],
        "certificates": [certificate],
        "tools": [row],
        "candidates.failed": [failure],
        "credit": [credit],
        "metrics": metrics,
        "episodes": [json.loads(to_line(episode)), benchmark],
        "conversations": [json.loads(to_line(episode))],
        "rollouts": [json.loads(to_line(talk))],
        "judgements": [json.loads(to_line(told))],
        "servers": [server],
    }
    for name, rows in files.items():
        lines = "".join(json.dumps(each) + "\n" for each in rows)
        (folder.path / f"{name}.jsonl").write_text(lines, "utf-8")
    (folder.path / "progress.log").write_text(text + "\n", "utf-8")
    (folder.path / "report.json").write_text(
        json.dumps({text: text, "f1": {"mean": 1, "low": 0, "high": 1}, "by": {text: {text: 1}}})
    )
    (folder.path / "config.toml").write_text(
        f"command = {json.dumps(text.replace(chr(0x7F), ''))}\n"
        '[runtime]\napi_key = "the-key"\nbase_url = "https://user:the-word@host/"\n'
        '[[model]]\nTOKEN = "the-token"\nauthorization = "the-bearer"\npassword = "the-pass"\n'
        if "\x00" not in text
        else "command = 'x'\n"
    )
    return path


@pytest.mark.parametrize("text", [MARKUP, ODD, "<b>" * 9, "../../etc/passwd"], ids=range(4))
def test_whatever_stands_in_a_folder_is_shown_as_text(tmp_path: Path, text: str) -> None:
    found = Pages(hostile_runs(tmp_path, text)).crawl()
    problems = {a: r.status_code for a, r in found.items() if r.status_code != 200}
    assert problems == {}
    listings = {address.split("/")[1] for address in found if address.count("/") == 2}
    assert listings >= {"arenas", "episodes", "credit", "trajectories", "servers", "tools"}
    for address, answer in found.items():
        if answer.headers["content-type"].startswith("text/html"):
            assert Seen(answer.text).bad == [], address
            assert "49" not in re.findall(r"--(\d+)", answer.text), "a template was run"
        else:
            kind = answer.headers["content-type"]
            assert "static/" in address or kind == "text/plain; charset=utf-8", address


def test_the_check_of_pages_sees_what_is_bad() -> None:
    for page in (
        "<script>1</script>",
        "<p onclick=x>",
        '<a href=" javascript:x">',
        '<script src="https://x/view.js?">',
        "<img>",
        '<a href="//evil">',
    ):
        assert Seen(page).bad


def test_secrets_of_a_strangers_options_are_not_shown(tmp_path: Path) -> None:
    text = Pages(hostile_runs(tmp_path, "x")).text("evil-run-b/index.html")
    assert "https://host/" in text
    for secret in ("the-key", "the-word", "the-token", "the-bearer", "the-pass"):
        assert secret not in text


def episode_lines(path: Path, *lines: str) -> Pages:
    path.mkdir(exist_ok=True)
    (path / "episodes.jsonl").write_text("".join(line + "\n" for line in lines), "utf-8")
    return Pages(path)


def stored(**updates: Any) -> dict[str, Any]:
    return json.loads(to_line(sampled(single_hop_arena()))) | updates


def test_long_messages_are_cut_and_stand_in_the_whole_row(tmp_path: Path) -> None:
    row = stored()
    row["trajectory"]["messages"][4]["content"] = "Z" * 10_000_000 + "the end"
    row["trajectory"]["calls"][0]["result"] = {"x": "Y" * 1_000_000}
    pages = episode_lines(tmp_path / "run", json.dumps(row))
    page = pages.ask("run/episodes/0.html")
    assert page.status_code == 200 and len(page.content) < 200_000
    assert "9,980,007 more characters stand in the whole row" in page.text
    assert "the end" in pages.ask("run/episodes/0.json").text
    assert len(pages.ask("run/episodes.html").content) < 50_000


def test_deep_json_halves_of_pairs_and_no_numbers(tmp_path: Path) -> None:
    deep = "[" * 150 + "]" * 150
    row = json.dumps(stored())
    call = '"arguments":{"country":"Germany"}'
    compact = json.dumps(stored(), separators=(",", ":"))
    assert call in compact
    pages = episode_lines(
        tmp_path / "run",
        compact.replace(call, f'"arguments":{{"country":{deep}}}'),
        compact.replace('"{\\"capital\\": \\"Berlin\\"}"', json.dumps("[" * 5000 + "]" * 5000)),
        compact.replace('"seconds":', '"seconds":NaN,"was":')
        if '"was"' in compact
        else compact.replace('"f1":1.0', '"f1":NaN').replace('"reward":1.0', '"reward":Infinity'),
        row.replace("Berlin.", "\\ud83d"),
        f'{{"trajectory": {{}}, "x": {"[" * 100_000}{"]" * 100_000}}}',
        '{"trajectory": {"messages": []}, "arena": "a"}',
        '{"task": "t", "score": 1e999}',
    )
    for number in range(7):
        answer = pages.ask(f"run/episodes/{number}.html")
        assert answer.status_code in (200, 404) or "This can" in answer.text, number
        assert pages.ask(f"run/episodes/{number}.json").status_code in (200, 404)
    assert pages.ask("run/episodes/0.html").status_code == 200
    assert pages.ask("run/episodes.html").status_code == 200


def test_curves_pass_over_what_is_no_number(tmp_path: Path) -> None:
    rows = [f'{{"step": {step}, "loss": {step}}}\n' for step in (1, 2)]
    rows += [
        '{"step": 3, "loss": NaN}\n',
        '{"step": Infinity, "loss": 4}\n',
        f'{{"step": 5, "loss": {"9" * 400}}}\n',
        '{"step": "x", "loss": [1], "text": "y"}\n',
    ]
    write_training(tmp_path / "run", [])
    (tmp_path / "run" / "metrics.jsonl").write_text("".join(rows), "utf-8")
    page = Pages(tmp_path).ask("training.html")
    assert page.status_code == 200 and '"x": [1, 2], "y": [1, 2]' in page.text


# --- paths --------------------------------------------------------------------------------------

PATHS = [
    "../secret.txt",
    "..%2fsecret.txt",
    "%2e%2e/secret.txt",
    "%2e%2e%2fsecret.txt",
    "..%5csecret.txt",
    "/etc/passwd",
    "//etc/passwd",
    "run/../../secret.txt",
    "run/episodes/..%2f..%2f..%2fsecret.txt.json",
    "run/..%2f..%2fsecret/index.html",
    "static/../secret.txt",
    "static/%2e%2e/templates/base.html",
    "static/..%2f..%2f__init__.py",
    "static//etc/passwd",
    "run/episodes/%00.html",
    "run/episodes/0%00.html",
    "run/config.toml",
    "run/episodes.jsonl",
    ".../index.html",
    "run/episodes/0.html/x",
    "run/compare/..%2f..%2fsecret.txt.html",
    "compare.html/x",
]


@pytest.mark.parametrize("path", PATHS)
def test_no_address_leads_out_of_the_folders(tmp_path: Path, path: str) -> None:
    (tmp_path / "secret.txt").write_text("the secret")
    pages = episode_lines(tmp_path / "run", json.dumps(stored()))
    answer = pages.ask(pages.base + path)
    assert "the secret" not in answer.text and "root:" not in answer.text
    assert answer.status_code == 404 or "Compare" in answer.text
    assert "default-src 'none'" in answer.headers["content-security-policy"]


def test_links_in_a_folder_are_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    row = stored()
    row["trajectory"]["messages"][1]["content"] = "the secret"
    for name in ("episodes.jsonl", "arenas.jsonl", "x.failed.jsonl", "config.toml", "report.json"):
        (outside / name).write_text(json.dumps(row) + "\n")
    (outside / "progress.log").write_text("the secret")
    (outside / "config.toml").write_text('x = "the secret"')
    shown = tmp_path / "shown"
    (shown / "run").mkdir(parents=True)
    (shown / "linked").symlink_to(outside)
    for path in outside.iterdir():
        (shown / "run" / path.name).symlink_to(path)
    os.mkfifo(shown / "run" / "manifest.json")
    pages = Pages(shown)
    found = pages.crawl()
    assert "linked/index.html" not in found and "run/index.html" in found
    assert all("the secret" not in answer.text for answer in found.values())
    assert "symbolic link" in pages.text("run/index.html")


def test_a_run_may_go_while_it_is_served(tmp_path: Path) -> None:
    pages = episode_lines(tmp_path / "run", json.dumps(stored()))
    other = episode_lines(tmp_path / "other", json.dumps(stored()))
    pages = Pages(tmp_path)
    addresses = [a for a in pages.crawl() if a.startswith("run/")]
    assert len(addresses) > 3
    shutil.rmtree(tmp_path / "run")
    for address in addresses:
        answer = pages.ask(address)
        assert answer.status_code == 404 and "there is no run" in answer.text, address
    assert "run/" not in pages.ask("index.html").text and other.text("index.html")
    (tmp_path / "run").symlink_to(tmp_path / "other")
    assert pages.ask("run/episodes/0.html").status_code == 404
    (tmp_path / "run").unlink()
    episode_lines(tmp_path / "run", json.dumps(stored()), json.dumps(stored()))
    assert "2 rows" in pages.text("run/episodes.html")


def test_names_of_runs_are_told_apart_and_take_no_page_away(tmp_path: Path) -> None:
    for name in ("a/run", "b/run", "c/training", "d/static", "e/---", "e/<b>"):
        episode_lines_path = tmp_path / name
        episode_lines_path.mkdir(parents=True)
        (episode_lines_path / "episodes.jsonl").write_text(json.dumps(stored()) + "\n")
    names = list(Pages(tmp_path).site.shelf.runs())
    assert names == ["run", "run-2", "training-2", "static-2", "run-3", "b"]


# --- requests -----------------------------------------------------------------------------------


@pytest.fixture
def served(tmp_path: Path) -> Pages:
    return episode_lines(tmp_path / "run", json.dumps(stored()))


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
@pytest.mark.parametrize("address", ["index.html", "run/episodes/0.html", "static/view.js"])
def test_pages_are_only_read(served: Pages, method: str, address: str) -> None:
    answer = served.ask(address, method, content=b"x" if method == "POST" else None)
    assert answer.status_code == 405
    assert "access-control-allow-origin" not in answer.headers


def test_every_answer_carries_the_headers(served: Pages) -> None:
    def spoiled(*_: Any) -> Any:
        raise RuntimeError("a fault of ours")

    answers = [
        served.ask(address)
        for address in ("index.html", "run/none.html", "static/view.css", "static/none", "x\\y")
    ]
    answers.append(served.ask("index.html", "POST"))
    answers.append(served.ask("index.html", headers={"host": "evil.example"}))
    served.site.answer = spoiled  # type: ignore[method-assign] - a fault in a page
    answers.append(served.ask("index.html"))
    assert [answer.status_code for answer in answers] == [200, 404, 200, 404, 404, 405, 421, 500]
    assert "a fault of ours" not in answers[-1].text
    for answer in answers:
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy and "script-src 'self'" in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"
        assert answer.headers["cache-control"] == "no-store"


HOSTS = [
    "evil.example",
    "127.0.0.1.evil.example",
    "localhost.",
    "x@evil.example",
    "",
    "[::1",
    "a b",
]


@pytest.mark.parametrize("host", HOSTS)
def test_other_names_of_this_machine_are_refused(served: Pages, host: str) -> None:
    answer = served.ask("index.html", headers={"host": host})
    assert answer.status_code in (400, 421) and "run" not in answer.text.replace("Runs", "")


@pytest.mark.parametrize("host", ["127.0.0.1:7070", "localhost", "[::1]:80", "LOCALHOST:1"])
def test_names_of_the_loopback_are_served(served: Pages, host: str) -> None:
    assert served.ask("index.html", headers={"host": host}).status_code == 200


def test_a_token_opens_the_pages_once(tmp_path: Path) -> None:
    episode_lines(tmp_path / "run", json.dumps(stored()))
    pages = Pages(tmp_path / "run", token="s3cret&=/", loopback=False, base="http://box:7070/")
    for address in ("index.html", "static/view.js", "index.html?token=wrong", "run/none.html"):
        refused = pages.ask(address)
        assert refused.status_code == 401 and "Runs" not in refused.text
        assert "default-src 'none'" in refused.headers["content-security-policy"]
        assert "set-cookie" not in refused.headers
    opened = pages.ask("run/episodes.html?q=a%26b%3Dc&token=s3cret%26%3D%2F&sort=f1&stop=")
    assert opened.status_code == 303
    assert opened.headers["location"] == "/run/episodes.html?q=a%26b%3Dc&sort=f1&stop="
    cookie = opened.headers["set-cookie"]
    assert "s3cret" not in cookie and "httponly" in cookie.lower() and "strict" in cookie.lower()
    kept = {"cookie": cookie.split(";")[0]}
    assert pages.ask("run/episodes.html", headers=kept).status_code == 200
    assert pages.ask("index.html", headers={"cookie": "astra_view=wrong"}).status_code == 401
    assert "s3cret" not in pages.ask("index.html", headers=kept).text


@pytest.mark.parametrize("path", ["//evil.example", "///evil.example/x", "/\\evil.example", "//"])
def test_the_token_sends_nobody_elsewhere(tmp_path: Path, path: str) -> None:
    episode_lines(tmp_path / "run", json.dumps(stored()))
    pages = Pages(tmp_path / "run", token="s3cret", base="http://127.0.0.1:7070")
    answer = pages.ask(f"http://127.0.0.1:7070{path}?token=s3cret")
    if answer.status_code == 303:
        assert re.match(r"/([^/\\]|$)", answer.headers["location"])
    else:
        assert answer.status_code == 404


# --- exports ------------------------------------------------------------------------------------


def test_an_export_of_a_strangers_folder_stays_in_its_folder(tmp_path: Path) -> None:
    shelf = Shelf([hostile_runs(tmp_path / "in", MARKUP)])
    out = tmp_path / "out" / "site"
    count = export_site(shelf, out, rows=10)
    files = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert count == sum("static" not in path.parts for path in files)
    assert all(out in path.parents for path in files)
    for path in out.rglob("*.html"):
        assert Seen(path.read_text("utf-8")).bad == [], path
    with pytest.raises(StoreError, match="not empty"):
        export_site(shelf, out, rows=10)
