"""From a frame and its shape to a figure; the only home of Plotly."""
