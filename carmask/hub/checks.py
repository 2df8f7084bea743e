"""What can be wrong with the Hub, each in one sentence; without torch, so that it is known before a run begins."""

from huggingface_hub import HfApi, get_token
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, HTTPError, OfflineModeIsEnabled
from huggingface_hub.utils import validate_repo_id

from carmask.errors import RunError

NO_TOKEN = "There is no token of the Hub; run hf auth login, or put one into HF_TOKEN."
REFUSALS = (OfflineModeIsEnabled, HFValidationError, HTTPError)


def check_hub(name: str) -> None:
    """Finds out whether the Hub is there, knows the token, and could have a model of this name.

    What a fine-grained token may do is not known before it is done.

    Raises:
        RunError: one of these is not so.
    """
    if not get_token():
        raise RunError(NO_TOKEN)
    try:
        validate_repo_id(name)
        user = HfApi().whoami()
    except REFUSALS as error:
        raise RunError(refusal(error, name)) from error
    role = user.get("auth", {}).get("accessToken", {}).get("role")
    if role == "read":
        raise RunError("The token may only read the Hub; run hf auth login with one that may write.")
    owners = [user["name"], *(group["name"] for group in user.get("orgs", []))]
    owner = name.rpartition("/")[0]
    if role == "write" and owner and owner.lower() not in map(str.lower, owners):
        raise RunError(f"The token may not write {name}; it may write models of {' and '.join(owners)}.")


def refusal(error: Exception, name: str) -> str:
    """What one of the `REFUSALS` means, in one sentence."""
    if isinstance(error, OfflineModeIsEnabled):
        return "HF_HUB_OFFLINE is set, so the Hub is not asked; unset it to publish."
    if isinstance(error, HFValidationError):
        return f"{name} is no name for a model of the Hub; give one like anna/my-model."
    if not isinstance(error, HfHubHTTPError):
        return "The Hub cannot be reached; check the connection and try again."
    status = error.response.status_code
    if status == 401:
        return "The Hub does not know the token; run hf auth login with a valid one that may write."
    if status == 403:
        return f"The token may not write {name}; use one with the right to write, and a name of your own."
    return f"The Hub refuses {name}: {error.server_message or f'status {status}'}."
