"""Tests in a real browser: JupyterLab in chromium, driven by Playwright."""
