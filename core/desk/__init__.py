"""What the staff desk stands on: Django's admin, read-only, with lists that stay fast and acts that ask first."""
