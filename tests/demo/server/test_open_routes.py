"""Which of gradio's routes are open, by name: after an update of gradio a new one has to be looked at."""

import gradio as gr
from gradio.routes import App

from carmask.demo.server.open_routes import is_open, open_routes

CLOSED = """
/gradio_api/api/{api_name} /gradio_api/api/{api_name}/ /gradio_api/app_id/ /gradio_api/call/v2/{api_name}
/gradio_api/call/v2/{api_name}/ /gradio_api/call/v2/{api_name}/{event_id} /gradio_api/call/{api_name}/
/gradio_api/component_server /gradio_api/component_server/
/gradio_api/custom_component/{id}/{environment}/{type}/{file_name} /gradio_api/deep_link /gradio_api/dev/reload
/gradio_api/file/{path} /gradio_api/login_check /gradio_api/login_check/ /gradio_api/openapi.json
/gradio_api/process_recording /gradio_api/proxy={url_path} /gradio_api/reset/ /gradio_api/run-history/buckets
/gradio_api/run-history/connect /gradio_api/run-history/records
/gradio_api/run-history/records/{endpoint}/{record_id}/assets/{asset_id} /gradio_api/run/{api_name}
/gradio_api/run/{api_name}/ /gradio_api/runs /gradio_api/runs/ /gradio_api/stream/{event_id}
/gradio_api/stream/{event_id}/close /gradio_api/stream/{session_hash}/{run}/{component_id}/playlist-file
/gradio_api/stream/{session_hash}/{run}/{component_id}/playlist.m3u8
/gradio_api/stream/{session_hash}/{run}/{component_id}/{segment_id}.{ext} /gradio_api/theme.css /gradio_api/token
/gradio_api/token/ /gradio_api/undo-vibe-edit /gradio_api/undo-vibe-edit/ /gradio_api/user /gradio_api/user/
/gradio_api/vibe-code /gradio_api/vibe-code/ /gradio_api/vibe-edit /gradio_api/vibe-edit/
/gradio_api/vibe-starter-queries /gradio_api/vibe-starter-queries/ /config/ /gradio_api/queue/status /login /login/
/logout /monitoring /monitoring/summary /monitoring/{key} /pwa_icon /pwa_icon/{size} /svelte/{path}
"""


def routes_of_gradio():
    with gr.Blocks() as page:
        page.queue(api_open=False)
    page.is_running, page.share, page.max_file_size, page.state_session_capacity = True, False, None, 1
    return {(method, path) for path, methods in App.create_app(page).openapi()["paths"].items() for method in methods}


def test_every_route_of_gradio_is_known_to_be_open_or_closed():
    known = {(method.lower(), path) for method, path in open_routes()}
    assert known <= routes_of_gradio()
    assert {path for method, path in routes_of_gradio() - known} == set(CLOSED.split())


def test_a_route_is_closed_unless_it_is_listed():
    for method, path in routes_of_gradio():
        listed = (method.upper(), path) in open_routes()
        assert is_open(method.upper(), path) == listed, path


def test_only_the_last_part_of_a_path_holds_slashes():
    assert is_open("GET", "/gradio_api/file=/uploads/a/b.png")
    assert is_open("GET", "/assets/a/b.js")
    assert is_open("GET", "/gradio_api/call/mask/event")
    assert not is_open("POST", "/gradio_api/call/v2/mask")
    assert not is_open("GET", "/gradio_api/heartbeat/a/b")
    assert not is_open("GET", "/config\n")
    assert not is_open("POST", "/gradio_api/upload/")
