"""A denoiser for grey or for colour, on images of the other kind."""

from __future__ import annotations

from torch import Tensor, nn

from bbsmooth.errors import UsageError


class AnyChannels(nn.Module):
    """Shows grey images to a network for colour three times alike, and colour images to one for grey by the channel.

    Args:
        network: (B, `channels`, H, W) and sigma -> the same.
        channels: that it takes.
    """

    def __init__(self, network: nn.Module, channels: int) -> None:
        """Wrap the network."""
        super().__init__()
        self.network, self.channels = network, channels

    def forward(self, images: Tensor, sigma: float) -> Tensor:
        """Denoised images (B, C, H, W), on the device of the images.

        Raises:
            UsageError: neither do the channels fit, nor is one of both grey.
        """
        place = next(self.network.parameters()).device
        moved, count = images.to(place), images.shape[1]
        if count == self.channels:
            shown: Tensor = self.network(moved, sigma)
        elif self.channels == 1:
            shown = self.network(moved.flatten(0, 1)[:, None], sigma).view(moved.shape)
        elif count == 1:
            shown = self.network(moved.expand(-1, self.channels, -1, -1), sigma).mean(1, keepdim=True)
        else:
            raise UsageError(f"the denoiser takes images of {self.channels} channels, these have {count}")
        return shown.to(images.device)
