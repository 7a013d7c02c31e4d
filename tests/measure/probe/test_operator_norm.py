"""Power iterations against singular values in float64, and norms against what layers do."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from tests.measure.probe.test_update_meter import Conv1D
from umup_diag.measure.layers import tensors
from umup_diag.measure.probe.operator_norm import ITERATIONS, operator_norm, rms_operator_norm


def gaussian(rows: int, columns: int) -> Tensor:
    return torch.randn(rows, columns, dtype=torch.float64)


def low_rank(rows: int, columns: int) -> Tensor:
    return gaussian(rows, 3) @ gaussian(3, columns) + 1e-3 * gaussian(rows, columns)


def orthogonal(rows: int, columns: int) -> Tensor:
    basis: Tensor = torch.linalg.qr(gaussian(rows, columns))[0]
    return basis


def start(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Singular values squared, and the start's shares along their directions."""
    tall = matrix if matrix.shape[0] >= matrix.shape[1] else matrix.T
    _, values, directions = torch.linalg.svd(tall, full_matrices=False)
    x = torch.randn(tall.shape[1], generator=torch.Generator().manual_seed(0)).double()
    shares = (directions @ (x / x.norm())) ** 2
    return values**2, shares


@pytest.mark.parametrize("make", [gaussian, low_rank, orthogonal])
@pytest.mark.parametrize("shape", [(96, 96), (128, 40), (200, 7), (5, 1)])
def test_it_is_what_power_iterations_give_and_near_the_largest_singular_value(
    make: Callable[[int, int], Tensor], shape: tuple[int, int]
) -> None:
    """By the singular values, and within the bound that the docstring states.

    Moments of the squares are log-convex, so their ratio is at least the root of the last.
    """
    torch.manual_seed(1)
    matrix = make(*shape)
    squares, shares = start(matrix)
    power = 2 * ITERATIONS
    exact = (squares ** (power + 1) @ shares / (squares**power @ shares)) ** 0.5
    found = operator_norm(matrix)
    largest = float(squares[0]) ** 0.5
    assert found == pytest.approx(float(exact), rel=1e-10)
    assert largest * float(shares[0]) ** (0.5 / (power + 1)) <= found * (1 + 1e-12)
    assert found <= largest * (1 + 1e-12)
    # each of the products rounds by no more than √(rows·columns) ε of the norm
    rounding = (power + 1) * matrix.numel() ** 0.5 * torch.finfo(torch.float32).eps
    assert operator_norm(matrix.float()) == pytest.approx(found, rel=rounding)
    if shape[0] != shape[1]:  # the start is on the short side, whichever that is
        assert operator_norm(matrix.T) == pytest.approx(found, rel=1e-12)


def test_a_matrix_of_rank_one_is_exact_and_one_of_zeros_has_none() -> None:
    u, v = gaussian(30, 1), gaussian(1, 50)
    assert operator_norm(u @ v) == pytest.approx(float(u.norm() * v.norm()), rel=1e-12)
    assert operator_norm(torch.zeros(4, 6)) == 0.0
    assert operator_norm(torch.full((4, 6), torch.nan)) != operator_norm(torch.zeros(4, 6))


def test_the_level_of_random_matrices_is_low_by_the_same_share_at_every_width() -> None:
    """Marchenko-Pastur of a square matrix: moments are Catalan's numbers, C₉/C₈ = 3.4 of 4."""
    torch.manual_seed(2)
    found = [operator_norm(torch.randn(n, n) * n**-0.5) for n in (64, 256, 1024)]
    assert found == pytest.approx([3.4**0.5] * 3, rel=0.03)


def gain(layer: nn.Module, x: Tensor) -> float:
    out = layer(x).detach()
    return float(out.square().mean() ** 0.5 / x.square().mean() ** 0.5)


def spiked(layer: nn.Module) -> nn.Module:
    """A weight with one direction that leads, which a few iterations find to the last digit."""
    weight = layer._parameters["weight"]
    assert weight is not None
    with torch.no_grad():
        flat = weight.view(weight.shape[0], -1)
        flat.copy_(torch.randn(flat.shape[0], 1) @ torch.randn(1, flat.shape[1]))
        flat += 1e-3 * torch.randn_like(flat)
    if getattr(layer, "bias", None) is not None:
        nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
    return layer


@pytest.mark.parametrize(
    ("layer", "shape", "is_transposed"),
    [
        (nn.Linear(24, 60), (24,), False),
        (nn.Linear(60, 24, bias=False), (60,), False),
        (Conv1D(24, 72), (1, 24), True),
        (nn.Conv2d(6, 10, 3), (6, 3, 3), False),
        (nn.Conv1d(6, 10, 4, bias=False), (6, 4), False),
    ],
)
def test_the_input_that_a_layer_amplifies_most_comes_out_that_much_larger(
    layer: nn.Module, shape: tuple[int, ...], is_transposed: bool
) -> None:
    torch.manual_seed(3)
    named = tensors(nn.Sequential(spiked(layer)))[0]
    matrix = named.parameter.detach().flatten(1)
    leading = torch.linalg.svd(matrix.T if is_transposed else matrix)[2][0]
    norm = rms_operator_norm(named, named.parameter)
    assert gain(layer, leading.view(1, *shape)) == pytest.approx(norm, rel=1e-4)


def test_an_embeddings_norm_is_its_largest_row_and_a_vector_has_none() -> None:
    model = nn.Sequential(nn.Embedding(5, 4), nn.LayerNorm(4))
    table, norm, _ = tensors(model)
    with torch.no_grad():
        table.parameter.copy_(torch.tensor([1.0, -3.0, 2.0, 0.0, 0.5])[:, None].expand(5, 4))
    assert rms_operator_norm(table, table.parameter) == pytest.approx(3.0)
    assert rms_operator_norm(norm, norm.parameter) is None


def test_experts_are_one_stack_and_no_random_number_of_the_models_is_drawn() -> None:
    model = nn.Module()
    model.experts = nn.Parameter(torch.zeros(3, 8, 16))
    with torch.no_grad():
        model.experts[1, 2, 5] = 4.0
    (named,) = tensors(model)
    before = torch.get_rng_state()
    fans = named.fans
    assert fans.fan_in is not None
    expected = 4.0 * (fans.fan_in / fans.fan_out) ** 0.5
    assert rms_operator_norm(named, named.parameter) == pytest.approx(expected)
    assert rms_operator_norm(named, named.parameter.bfloat16()) == pytest.approx(expected)
    assert torch.equal(torch.get_rng_state(), before)
