"""The tokenizer as Hugging Face's transformers loads it: `AutoTokenizer.from_pretrained(folder)`."""

import json
from pathlib import Path

from miniature_memory.training.tokenizer import Tokenizer
from miniature_memory.training.tokenizer_json import END_OF_TEXT, to_json


def write_tokenizer(tokenizer: Tokenizer, folder: Path) -> None:
    """Write tokenizer.json and tokenizer_config.json. The ids are `tokenizer`'s own."""
    # The class that takes tokenizer.json as it is; GPT2Tokenizer would split words in GPT-2's way
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": END_OF_TEXT, "eos_token": END_OF_TEXT,
              "clean_up_tokenization_spaces": False}
    for name, content in (("tokenizer.json", to_json(tokenizer)), ("tokenizer_config.json", config)):
        text = json.dumps(content, ensure_ascii=False, indent=1) + "\n"
        (folder / name).write_text(text, encoding="utf-8")
