"""The demo's colours and fonts."""

import gradio as gr


def make_theme() -> gr.themes.Base:
    """Gradio's soft theme with text contrast of at least 4.5 : 1, as WCAG 2.1 AA asks."""
    return gr.themes.Soft(primary_hue="blue", font=["system-ui", "sans-serif"], font_mono=["monospace"]).set(
        block_border_width="1px",
        block_label_text_color="*primary_700",
        block_title_text_color="*primary_700",
        body_text_color_subdued="*neutral_600",
        body_text_color_subdued_dark="*neutral_300",
        button_primary_background_fill="*primary_600",
        button_primary_background_fill_hover="*primary_700",
        checkbox_label_background_fill_selected="*primary_600",
    )
