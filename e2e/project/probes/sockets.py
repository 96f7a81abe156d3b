"""Views that say who may listen, with the login on either side of the decorator."""

import gatepost
from django.contrib.auth.decorators import login_required, permission_required
from django.contrib.auth.mixins import LoginRequiredMixin
from django.contrib.auth.models import Group
from django.shortcuts import get_object_or_404
from django.utils.decorators import method_decorator
from django.views import View
from gatepost import Topic


@gatepost.socket
def group(request, pk):
    """Members of a group may listen to it; for all others it is not there."""
    found = get_object_or_404(request.user.groups, pk=pk)
    return gatepost.listen(Topic(found), frames=[{"type": "group", "name": found.name}])


@login_required
@gatepost.socket
def login_outside(request, pk):
    return gatepost.listen(Topic(get_object_or_404(Group, pk=pk)))


@gatepost.socket
@login_required
def login_inside(request, pk):
    return gatepost.listen(Topic(get_object_or_404(Group, pk=pk)))


@gatepost.socket
@permission_required("auth.view_group")
def permitted(request, pk):
    return gatepost.listen(Topic(get_object_or_404(Group, pk=pk)))


class Mixed(LoginRequiredMixin, View):
    @method_decorator(gatepost.socket)
    def get(self, request, pk):
        return gatepost.listen(Topic(get_object_or_404(Group, pk=pk)))


@gatepost.socket(anonymous=True)
def public(request, pk):
    return gatepost.listen("news")
