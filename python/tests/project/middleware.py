from django.middleware.csrf import get_token


def touch_user_afterwards(get_response):
    """As loggers and auditors do: looks at the user when the response is there."""

    def middleware(request):
        response = get_response(request)
        response["X-User"] = str(request.user)
        return response

    return middleware


def write_session(get_response):
    """As "last seen" middlewares do."""

    def middleware(request):
        request.session["seen"] = "now"
        return get_response(request)

    return middleware


def make_csrf_token(get_response):
    """As middlewares do that hand the token to a frontend."""

    def middleware(request):
        get_token(request)
        return get_response(request)

    return middleware
