"""What a long measurement leaves behind: lines by key, and sections of a document."""

from pathlib import Path

from benchmarks import records


def test_a_section_replaces_its_earlier_text_and_leaves_the_others(tmp_path: Path) -> None:
    document = tmp_path / "offline.md"
    for name, text in (("one", "first"), ("two", "second"), ("one", "third")):
        records.put_section(document, name, text)
    text = document.read_text()
    assert text.startswith("# Offline results\n")
    assert "first" not in text
    assert text.index("third") < text.index("second")
    assert text.count("<!-- one: begin -->") == text.count("<!-- one: end -->") == 1
    records.put_section(document, "two", "second")
    assert document.read_text() == text


def test_records_come_back_by_key(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "results.jsonl"
    assert records.read(path) == {}
    records.append(path, {"key": "a", "ndcg": 0.4})
    records.append(path, {"key": "b", "ndcg": 0.5})
    assert {key: record["ndcg"] for key, record in records.read(path).items()} == {"a": 0.4, "b": 0.5}
