"""python3 -m pytest tests/training/test_tokenizer.py"""

import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from miniature_memory.core.errors import StageError, Stopped
from miniature_memory.core.process import catch_signals
from miniature_memory.training import tokenizer as tokenizers
from miniature_memory.training.tokenizer import Tokenizer, load, train

TEXTS = ["the cat sat on the mat and the dog sat on the log\n" * 20, "žluťoučký kůň 漢字 漢字 漢字"]
BPE, CHAR, BYTE = (train(kind, TEXTS, 300) for kind in ("bpe", "char", "byte"))


@pytest.mark.parametrize("tokenizer", [BPE, CHAR, BYTE], ids=lambda t: t.kind)
@given(text=st.text())
def test_any_text_survives_encoding(tokenizer: Tokenizer, text: str) -> None:
    assert tokenizer.decode(tokenizer.encode(text)) == text


def test_bpe_is_trained_on_the_texts() -> None:
    assert len(BPE.encode("the cat sat")) < len(BYTE.encode("the cat sat")) / 2
    assert BPE.vocab_size <= 300


def test_char_gives_each_character_of_the_texts_one_id() -> None:
    assert len(CHAR.encode("žluť漢字")) == 6
    assert len(CHAR.encode("語")) == 3  # not in the texts: its bytes


def test_vowel_signs_belong_to_their_word() -> None:
    tokenizer = train("bpe", ["वह नदी में नाव से जाता है। " * 40], 400)
    assert len(tokenizer.encode(" में")) == 1


def test_a_signal_ends_the_training_of_bpe_at_once() -> None:
    def texts() -> Iterator[str]:
        yield TEXTS[0]
        signal.raise_signal(signal.SIGTERM)
        yield TEXTS[1]

    handlers = {signum: signal.getsignal(signum) for signum in (signal.SIGINT, signal.SIGTERM)}
    catch_signals()
    try:
        with pytest.raises(Stopped) as stopped:
            train("bpe", texts(), 300)
    finally:
        for signum, handler in handlers.items():
            signal.signal(signum, handler)
    assert stopped.value.leaves_thread  # which guarded() knows


def test_a_failure_of_the_texts_is_raised() -> None:
    def texts() -> Iterator[str]:
        yield TEXTS[0]
        raise StageError("found.", "expected.", "fix.")

    with pytest.raises(StageError, match=r"found\."):
        train("bpe", texts(), 300)


def test_documents_end_in_the_end_of_text_token() -> None:
    ids = [BPE.encode_document(text) for text in ("a cat", "")]
    assert [array.dtype for array in ids] == [np.dtype("<u2")] * 2
    assert ids[0][-1] == ids[1][0] == BPE.eot_token == BPE.vocab_size - 1


def test_a_written_end_of_text_is_text() -> None:
    assert BPE.eot_token not in BPE.encode("<|endoftext|>")


@pytest.mark.parametrize("text", ["a <|endoftext|> b <|endoftext|>", "half a pair: \ud800.", *TEXTS])
def test_documents_are_encoded_as_texts_are(text: str) -> None:
    assert BPE.encode_document(text)[:-1].tolist() == BPE.encode(text)


def test_token_bytes_add_up_to_the_text() -> None:
    ids = [BPE.encode_document(text) for text in TEXTS]
    assert sum(int(BPE.token_bytes()[array].sum()) for array in ids) == sum(len(t.encode()) for t in TEXTS)


def test_ids_over_the_vocabulary_are_rejected(tmp_path: Path) -> None:
    wide = Tokenizer("bpe", BPE.pattern, BPE.ranks | {b"catalog": 70_000})
    with pytest.raises(ValueError, match="70000"):
        wide.encode_document("catalog")
    save(tmp_path, wide)
    with pytest.raises(StageError, match="ids are not"):
        load(tmp_path)


def save(folder: Path, tokenizer: Tokenizer) -> None:
    for name, data in tokenizer.files().items():
        (folder / name).write_bytes(data)


def test_a_saved_tokenizer_is_loaded_as_it_was(tmp_path: Path) -> None:
    save(tmp_path, CHAR)
    assert load(tmp_path) == CHAR and load(tmp_path).hash == CHAR.hash


def test_tokenizers_have_different_hashes() -> None:
    assert len({t.hash for t in (BPE, CHAR, BYTE)}) == 3


def test_files_that_do_not_belong_together_are_rejected(tmp_path: Path) -> None:
    save(tmp_path, CHAR)
    (tmp_path / tokenizers.RANKS_FILE).write_bytes(BPE.files()[tokenizers.RANKS_FILE])
    with pytest.raises(StageError, match="has the hash"):
        load(tmp_path)


@pytest.mark.parametrize("content", [b"", b"not base64!! x\n", b"AA==\n"])
def test_a_damaged_tokenizer_is_rejected(tmp_path: Path, content: bytes) -> None:
    save(tmp_path, CHAR)
    (tmp_path / tokenizers.RANKS_FILE).write_bytes(content)
    with pytest.raises(StageError):
        load(tmp_path)


@pytest.mark.parametrize("odd", [
    Tokenizer("bpe", "(", BYTE.ranks), Tokenizer("bpe", BYTE.pattern, {bytes([i]): i for i in range(100)}),
    Tokenizer("bpe", BYTE.pattern, {b"token %d" % i: i for i in range(300)})], ids=["pattern", "few", "no bytes"])
def test_a_tokenizer_that_cannot_encode_every_text_is_rejected(tmp_path: Path, odd: Tokenizer) -> None:
    save(tmp_path, odd)
    with pytest.raises(StageError, match="holds no readable tokenizer"):
        load(tmp_path)


@pytest.mark.parametrize("meta", ["[]", '{"kind": 1, "pattern": 2, "hash": "", "provisional": false}', "[" * 100_000])
def test_a_description_of_another_form_is_rejected(tmp_path: Path, meta: str) -> None:
    save(tmp_path, BYTE)
    (tmp_path / tokenizers.META_FILE).write_text(meta)
    with pytest.raises(StageError):
        load(tmp_path)


def test_a_missing_tokenizer_names_the_command(tmp_path: Path) -> None:
    with pytest.raises(StageError, match="--retokenize"):
        load(tmp_path)
