"""python -m pytest tests/test_model.py"""

import math

import pytest
import torch
import torch.nn.functional as F

from model import GPT, GPTConfig, Rotary, estimate_memory_mb, flops_per_token, norm
from optim import AdamW

TINY = GPTConfig(block_size=16, vocab_size=50, n_layer=2, n_head=2, n_embd=32)


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
    before, after = model(idx, idx)[0], model(changed, idx)[0]
    assert torch.equal(before[:, :9], after[:, :9])
    assert not torch.allclose(before[:, 9:], after[:, 9:])


def test_first_loss_is_near_that_of_guessing() -> None:
    torch.manual_seed(0)
    model = GPT(GPTConfig(block_size=64, vocab_size=1000, n_layer=2, n_head=2, n_embd=64))
    idx = torch.randint(1000, (4, 64))
    assert model(idx, idx.roll(-1, 1))[1].item() == pytest.approx(math.log(1000), abs=0.1)


def test_one_batch_overfits() -> None:
    torch.manual_seed(0)
    model = GPT(TINY)
    optimizer, idx = AdamW(model.parameters()), random_tokens()
    for _ in range(60):
        loss = model(idx[:, :-1], idx[:, 1:])[1]
        loss.backward()
        optimizer.step(1e-2)
    assert loss.item() < 0.1


def test_without_targets_only_the_last_position_has_logits(model: GPT) -> None:
    idx = random_tokens()
    logits, loss = model(idx)
    assert loss is None
    assert torch.allclose(logits, model(idx, idx)[0][:, -1:], atol=1e-5)


def test_ignored_targets_do_not_count(model: GPT) -> None:
    idx, targets = random_tokens(), random_tokens().roll(-1, 1)
    losses = model(idx, targets, reduction="none")[1]
    targets[:, 5:] = -1
    assert losses.shape == (2, 16)
    assert torch.allclose(model(idx, targets)[1], losses[:, :5].mean())


def test_more_tokens_than_the_block_size_are_refused(model: GPT) -> None:
    with pytest.raises(ValueError, match="17 tokens"):
        model(random_tokens(length=17))


def test_attention_is_what_the_formula_says(model: GPT) -> None:
    attention = model.blocks[0].attention
    x = torch.randn(1, 7, 32)
    q, k, v = attention.qkv(x).view(1, 7, 3, 2, 16).permute(2, 0, 3, 1, 4)
    q, k = attention.rotary(norm(q)), attention.rotary(norm(k))
    scores = (q @ k.transpose(-2, -1) / math.sqrt(16)).masked_fill(torch.ones(7, 7).triu(1).bool(), -math.inf)
    y = F.softmax(scores, dim=-1) @ v
    assert torch.allclose(attention(x), attention.proj(y.transpose(1, 2).reshape(1, 7, 32)), atol=1e-5)


def test_rotary_products_depend_on_distance_alone() -> None:
    rotary, q, k = Rotary(8, 32), torch.randn(8), torch.randn(8)
    turned_q, turned_k = rotary(q.repeat(32, 1)), rotary(k.repeat(32, 1))
    products = turned_q @ turned_k.T  # (position of q, position of k)
    assert torch.allclose(products[10, 3], products[20, 13], atol=1e-4)
    assert not torch.allclose(products[10, 3], products[10, 4], atol=1e-4)


def test_costs_grow_with_what_they_are_made_of(model: GPT) -> None:
    n = model.num_parameters()
    assert n == 50 * 32 + 2 * 12 * 32 * 32
    assert flops_per_token(TINY, n) == 6 * n + 12 * 2 * 32 * 16
    assert estimate_memory_mb(TINY, n, 8) < estimate_memory_mb(TINY, n, 800) < estimate_memory_mb(TINY, 10**9, 800)


def test_adamw_equals_torchs_own() -> None:
    ours, theirs = GPT(TINY), GPT(TINY)
    theirs.load_state_dict(ours.state_dict())
    optimizer = AdamW(ours.parameters(), 0.9, 0.95, 0.1)
    reference = torch.optim.AdamW(theirs.parameters(), lr=1e-2, betas=(0.9, 0.95), weight_decay=0.1)
    for _ in range(3):
        for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
            q.grad = torch.randn_like(p)
            p.grad = q.grad.clone()
        optimizer.step(1e-2)
        reference.step()
    for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.allclose(p, q, atol=1e-6)


def test_weight_decay_leaves_vectors_alone() -> None:
    matrix, vector = torch.nn.Parameter(torch.ones(2, 2)), torch.nn.Parameter(torch.ones(2))
    matrix.grad, vector.grad = torch.zeros(2, 2), torch.zeros(2)
    AdamW([matrix, vector], weight_decay=0.5).step(0.1)
    assert torch.allclose(matrix, torch.full((2, 2), 0.95))
    assert torch.equal(vector, torch.ones(2))
