"""Training: tokenizer, bins, the trainer and its checkpoints. Imports core, storage and model.py.

Where is ...?
    config.py            the settings of prepare and train
    tokenizer.py         text to token ids and back
    tokenizer_json.py    a tokenizer as tokenizer.json, and back
    init_from.py         what a new model starts from, if not from random weights
    bins_writer.py       how prepare.py writes and extends the bins; bins.py reads them
    batches.py           which windows of the bins are trained on, in which order
    trainer.py           one iteration: gradients, optimizer step, going back after a leap of the loss
    distributed.py       several processes that train one model, as torchrun starts them
    time_budget.py       when a run that may take train.max_minutes has to decay and to end
    sizing.py            device, type and size of the model
    devices.py           whether a device is there, asked without torch
    optim.py             AdamW and Adagrad by rows
    evaluation.py        validation loss and bits per byte
    checkpoint.py        files of a model: written so that nobody sees half of one, read and checked
    releases.py          which release is kept, and when more training is of no use
"""
