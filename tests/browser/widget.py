"""A widget in the browser, moved as a reader would: by keyboard, and by the mouse on buttons."""

IDLE = 5_000  # ms of a kernel that has nothing to do and shows nothing new: no answer will come
STATUS = "window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.status"


class Widget:
    """A box of controls with a live sentence; a move counts when picture or sentence follow."""

    def __init__(self, box):
        self.box = box

    @property
    def sentence(self) -> str:
        return self.box.locator("[aria-live]").inner_text()

    @property
    def seen(self) -> tuple[str, str]:
        return self.sentence, self.box.locator("img").get_attribute("src")

    def follows(self, move) -> bool:
        """Whether something is to be seen after a move, however long the kernel works on it."""
        before, idle = self.seen, 0
        move()
        while idle < IDLE:
            if self.seen != before:
                return True
            self.box.page.wait_for_timeout(100)
            idle = idle + 100 if self.box.page.evaluate(STATUS) == "idle" else 0
        return False

    def handles(self) -> list:
        return self.box.locator(".noUi-handle").all()

    def fields(self) -> list:
        return self.box.locator("input[type=number]").all()

    def choices(self) -> list:
        """Buttons that are not pressed yet."""
        return self.box.locator(".widget-toggle-button:not(.mod-active)").all()

    def name_of(self, field) -> str:
        """What a screen reader calls a field: the text of its label."""
        return self.box.locator(f"label[for='{field.get_attribute('id')}']").inner_text()

    def push(self, handle) -> bool:
        """Move a slider's handle by the keyboard, away from its end."""
        now, top = (float(handle.get_attribute(f"aria-value{end}")) for end in ("now", "max"))
        return self.follows(lambda: handle.press("ArrowRight" if now < top else "ArrowLeft"))

    def enter(self, field) -> bool:
        """Change a number in its field by the keyboard."""
        now, top = float(field.input_value()), float(field.get_attribute("max"))
        return self.follows(lambda: field.press("ArrowUp" if now < top else "ArrowDown"))
