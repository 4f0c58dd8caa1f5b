"""Message templates: what a WhatsApp Business account may send outside of an open window, and whether it may now."""
