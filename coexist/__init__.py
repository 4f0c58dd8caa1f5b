"""Coexist: one WhatsApp number, in the phone app and in a team inbox."""
