"""Frames to plotly figures; nothing else draws."""
