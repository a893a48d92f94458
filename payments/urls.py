from django.urls import path

from payments import views

urlpatterns = [path("balance/", views.balance, name="balance")]
