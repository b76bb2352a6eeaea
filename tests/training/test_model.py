"""python3 -m pytest tests/training/test_model.py"""

import dataclasses
import math
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F

import model as model_module
from miniature_memory.training.optim import AdamW, Group, Optimizer, RowAdagrad
from model import GPT, GPTConfig, Rotary, drop, estimate_memory_mb, flops_per_token, norm

TINY = GPTConfig(block_size=16, vocab_size=50, n_layer=2, n_head=2, n_embd=32, ngram_rows=300)


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def model() -> GPT:
    """A model whose blocks do something: projections start at zero."""
    torch.manual_seed(0)
    model = GPT(TINY)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return model


def random_tokens(batch_size: int = 2, length: int = 16) -> torch.Tensor:
    return torch.randint(TINY.vocab_size, (batch_size, length), generator=torch.Generator().manual_seed(1))


def test_later_token_cannot_move_an_earlier_logit(model: GPT) -> None:
    idx = random_tokens()
    changed = idx.clone()
    changed[:, 9] = (changed[:, 9] + 1) % TINY.vocab_size
    before, after = model(idx), model(changed)
    assert torch.equal(before[:, :9], after[:, :9])
    assert not torch.allclose(before[:, 9:], after[:, 9:])


def test_first_loss_is_that_of_guessing() -> None:
    model = GPT(GPTConfig(block_size=64, vocab_size=1000, n_layer=2, n_head=2, n_embd=64))
    idx = torch.randint(1000, (4, 64))
    assert model.loss(idx, idx.roll(-1, 1)).item() == pytest.approx(math.log(1000), abs=1e-4)


def optimizer_of(model: GPT, learning_rate: float = 1e-2) -> Optimizer:
    matrices = Group([p for name, p in model.named_parameters() if name != "embedding.table"], learning_rate)
    return Optimizer(AdamW([matrices]), RowAdagrad(model.embedding.table, 0.2))


def test_one_batch_overfits() -> None:
    torch.manual_seed(0)
    model, idx = GPT(TINY), random_tokens()
    optimizer = optimizer_of(model)
    for _ in range(60):
        loss = model.loss(idx[:, :-1], idx[:, 1:])
        loss.backward()
        optimizer.step(1.0)
    assert loss.item() < 0.1


def test_loss_and_gradients_are_those_of_the_logits(model: GPT, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_module, "LOSS_CHUNK", 7)
    idx, targets = random_tokens(), random_tokens().roll(-1, 1)
    gradients = []
    for loss in (model.loss(idx, targets), F.cross_entropy(model(idx).flatten(0, 1), targets.flatten())):
        (3 * loss).backward()
        gradients.append({name: (p.grad.to_dense() if p.grad.is_sparse else p.grad).clone()
                          for name, p in model.named_parameters() if p.grad is not None})
        model.zero_grad()
        gradients[-1]["loss"] = loss.detach()
    assert len(gradients[0]) == 11
    for name, gradient in gradients[0].items():
        assert torch.allclose(gradient, gradients[1][name], rtol=1e-4, atol=1e-5), name


@pytest.mark.parametrize(("ours", "theirs"), [(norm, lambda x: F.rms_norm(x, (6,))),
                                              (model_module.SquaredReLU.apply, lambda x: F.relu(x).square())])
def test_own_backward_passes_are_autograds(ours: Callable, theirs: Callable) -> None:
    x, weight = torch.randn(5, 6, requires_grad=True), torch.randn(5, 6)
    assert torch.allclose(ours(x), theirs(x), atol=1e-5)
    gradients = [torch.autograd.grad((function(x) * weight).sum(), x)[0] for function in (ours, theirs)]
    assert torch.allclose(*gradients, atol=1e-5)


def test_dropout_keeps_the_mean_and_needs_a_generator() -> None:
    x, generator = torch.ones(333, 77, requires_grad=True), torch.Generator().manual_seed(0)
    dropped = drop(x, 0.25, generator)
    assert (dropped == 0).float().mean().item() == pytest.approx(0.25, abs=0.01)
    assert dropped[dropped > 0].unique().item() == pytest.approx(1 / 0.75)
    assert not torch.equal(dropped, drop(x, 0.25, generator))
    dropped.sum().backward()
    assert torch.equal(x.grad, dropped)
    assert drop(x, 0.25, None) is x and drop(x, 0.0, generator) is x


def test_dropout_is_of_training_alone() -> None:
    model = GPT(dataclasses.replace(TINY, dropout=0.5))
    torch.nn.init.normal_(model.head.weight)
    idx, generator = random_tokens(), torch.Generator().manual_seed(0)
    assert torch.equal(model.loss(idx, idx), model.loss(idx, idx))
    assert not torch.equal(model.loss(idx, idx, generator), model.loss(idx, idx, generator))


def test_ngrams_have_rows_that_depend_on_their_tokens_alone() -> None:
    embedding = GPT(dataclasses.replace(TINY, ngram_order=3, ngram_rows=1 << 16, match_order=0)).embedding
    rows = embedding.rows(torch.tensor([[1, 2, 3, 1, 2, 3, 4, 2, 3]]))[0]
    assert rows.shape == (9, 3) and rows.min() >= 0 and rows.max() < 1 << 16
    assert rows[:, 0].tolist() == [1, 2, 3, 1, 2, 3, 4, 2, 3]
    assert torch.equal(rows[2], rows[5]) and (rows[:, 1:] >= TINY.vocab_size).all()
    assert rows[2, 1] == rows[8, 1] and rows[2, 2] != rows[8, 2]  # the same pair after another token
    assert rows[0, 1] != rows[3, 1]  # the beginning of the window is like a token of its own


def best_matches(ids: list[int], most: int) -> list[tuple[int, int]]:
    """By trying all: how many tokens, up to `most`, before and at the two best places equal the last ones, and what
    followed there; (0, -1) where there is none."""
    found = []
    for place in range(len(ids) - 1):
        n = 0
        while n < min(most, place + 1) and ids[place - n] == ids[-1 - n]:
            n += 1
        found.append((n, place, ids[place + 1]))
    found = [(n, followed) for n, _, followed in sorted(found, reverse=True) if n]
    return [*found, (0, -1), (0, -1)][:2]


@pytest.mark.parametrize("match_order", [1, 3, 8])
def test_matches_have_rows_that_depend_on_their_length_and_what_followed(match_order: int) -> None:
    shape = dataclasses.replace(TINY, ngram_order=1, ngram_rows=1 << 20, match_order=match_order, block_size=60)
    idx = torch.randint(3, (4, 60), generator=torch.Generator().manual_seed(0))
    rows = GPT(shape).embedding.rows(idx)
    assert rows.shape == (4, 60, 3)
    meaning: dict[tuple[int, tuple[int, int]], int] = {}
    for ids, its_rows in zip(idx.tolist(), rows.tolist(), strict=True):
        for t in range(60):
            for i, match in enumerate(best_matches(ids[:t + 1], match_order)):
                assert meaning.setdefault((i, match), its_rows[t][1 + i]) == its_rows[t][1 + i]
    assert len(set(meaning.values())) == len(meaning) > 6


def test_a_single_token_has_no_match() -> None:
    rows = GPT(TINY).embedding.rows(torch.tensor([[7], [9]]))
    assert rows.shape == (2, 1, 4) and rows[0, 0, 2:].tolist() == rows[1, 0, 2:].tolist()


def test_rows_that_were_not_looked_up_stay() -> None:
    torch.manual_seed(0)
    model, idx = GPT(TINY), random_tokens(1, 4)
    torch.nn.init.normal_(model.head.weight)
    before, optimizer = model.embedding.table.detach().clone(), optimizer_of(model)
    model.loss(idx, idx).backward()
    optimizer.step(1.0)
    moved = (model.embedding.table != before).any(1).nonzero().flatten().tolist()
    assert moved == sorted(set(model.embedding.rows(idx).flatten().tolist()))


def test_row_adagrad_is_what_the_formula_says() -> None:
    table = torch.nn.Parameter(torch.zeros(4, 2))
    optimizer = RowAdagrad(table, 0.5)
    grad = torch.tensor([[3.0, 4.0], [0.0, 1.0], [3.0, 4.0]])
    table.grad = torch.sparse_coo_tensor(torch.tensor([[1, 2, 1]]), grad, (4, 2), check_invariants=True)
    optimizer.step(0.1)
    sums = torch.tensor([0.0, 25.0, 0.5, 0.0])  # of the mean squares
    assert torch.allclose(optimizer.squares, sums)
    assert torch.allclose(table[1], -0.05 * 2 * grad[0] / 5) and torch.allclose(table[2], -0.05 * grad[1] / 0.5**0.5)


def test_more_tokens_than_the_block_size_are_rejected(model: GPT) -> None:
    with pytest.raises(ValueError, match="17 tokens"):
        model(random_tokens(length=17))


def test_attention_is_what_the_formula_says(model: GPT) -> None:
    attention = model.blocks[0].attention
    x = torch.randn(1, 7, 32)
    q, k, v = attention.qkv(x).view(1, 7, 3, 2, 16).unbind(2)
    q, k, v = (y.transpose(1, 2) for y in (attention.rotary(norm(q)), attention.rotary(norm(k)), v))
    scores = (q @ k.transpose(-2, -1) / math.sqrt(16)).masked_fill(torch.ones(7, 7).triu(1).bool(), -math.inf)
    y = F.softmax(scores, dim=-1) @ v
    assert torch.allclose(attention(x), attention.proj(y.transpose(1, 2).reshape(1, 7, 32)), atol=1e-5)


def test_rotary_products_depend_on_distance_alone() -> None:
    rotary, q, k = Rotary(8, 32), torch.randn(8), torch.randn(8)
    turned_q, turned_k = rotary(q.repeat(1, 32, 1))[0], rotary(k.repeat(1, 32, 1))[0]
    products = turned_q @ turned_k.T  # (position of q, position of k)
    assert torch.allclose(products[10, 3], products[20, 13], atol=1e-4)
    assert not torch.allclose(products[10, 3], products[10, 4], atol=1e-4)


def test_costs_grow_with_what_they_are_made_of(model: GPT) -> None:
    n = TINY.matrix_parameters
    assert n == 50 * 32 + 2 * 12 * 32 * 32 == model.num_parameters() - TINY.table_rows * 32
    assert flops_per_token(TINY) == 6 * n + 12 * 2 * 32 * 16
    large = dataclasses.replace(TINY, n_embd=4096)
    assert (estimate_memory_mb(TINY, 8, 128) < estimate_memory_mb(TINY, 8000, 128000)
            < estimate_memory_mb(large, 8000, 128000))


def test_adamw_equals_torchs_own() -> None:
    ours, theirs = ([torch.nn.Parameter(torch.ones(3, 2)), torch.nn.Parameter(torch.ones(2))] for _ in range(2))
    optimizer = AdamW([Group(ours[:1], 1e-2, 0.1), Group(ours[1:], 3e-2)], 0.9, 0.95)
    reference = torch.optim.AdamW([{"params": theirs[:1], "lr": 0.5e-2, "weight_decay": 0.1},
                                   {"params": theirs[1:], "lr": 1.5e-2, "weight_decay": 0.0}], betas=(0.9, 0.95))
    for _ in range(3):
        for p, q in zip(ours, theirs, strict=True):
            q.grad = torch.randn_like(p)
            p.grad = q.grad.clone()
        optimizer.step(0.5)
        reference.step()
    for p, q in zip(ours, theirs, strict=True):
        assert torch.allclose(p, q, atol=1e-6)
