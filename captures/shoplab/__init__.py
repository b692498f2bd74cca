"""The parts of the shop: what it is (description), how it is built, driven, recorded, and written down as manifests."""
