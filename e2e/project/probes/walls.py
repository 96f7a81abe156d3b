"""A login wall as projects write them: it lets nobody in but who is logged in."""

from django.contrib.auth.views import redirect_to_login


def login_wall(get_response):
    """Redirect to the login page from everywhere else."""

    def respond(request):
        if request.user.is_authenticated or request.path.startswith("/accounts/"):
            return get_response(request)
        return redirect_to_login(request.get_full_path())

    return respond
