import torch

from bbsmooth.coordinator.dct import cosines


def test_rows_are_orthonormal_and_start_with_the_mean() -> None:
    waves = cosines(12, 12)
    torch.testing.assert_close(waves @ waves.T, torch.eye(12), atol=1e-5, rtol=0)
    torch.testing.assert_close(waves[0], torch.full((12,), 12**-0.5))
    assert cosines(8, 100).shape == (8, 8)
    assert torch.equal(cosines(8, 3), cosines(8, 8)[:3])
