"""Numbered behaviours that every implementation has, the fakes included; one module a part."""
