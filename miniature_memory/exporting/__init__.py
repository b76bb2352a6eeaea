"""Exporting: what leaves the project, and how it returns. Imports core, storage, training, sampling and
model.py; also cleaning.privacy and cleaning.config, because a rejected document is masked before it leaves.

Where is ...?
    forms.py     the table of forms: a new one is a line there and a function (root, target, args) -> what it did
    aside.py     a file or folder that appears whole or not at all
    dataset.py   dataset: the documents, as Parquet or JSON lines; rows.py: their columns and files; card.py: README.md
    bundle.py    bundle: a whole root in one archive; restore.py: what becomes a root again
    page.py      html: the model in one page; page.html, page.css, page.js: its parts; patterns.py: how it divides text
    huggingface.py  hf: the release for transformers; model_card.py: its README.md; modeling_miniature_memory.py: runs
                 there, next to a copy of model.py
    tokenizer_json.py  the tokenizer for transformers
    student.py   student: a model for other programs; teaching.py: how it learns; student_card.py: README.md
    arcee.py     the student for transformers; llama_cpp.py: for llama.cpp and Ollama
    contents.py  what is in a bundle: its files by name, its manifest
What a form needs beyond requirements.txt is in requirements-export.txt, and imported in its functions alone.
"""
