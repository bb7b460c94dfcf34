"""The parts of a section of the page, as they are collected."""

from bert_my.report import page, plots


class Parts(list):
    """Pictures and sentences of a section, and the tables that come after them."""

    def __init__(self, names=None):
        """names: `fonts.Names` of the labels in the pictures, or None."""
        super().__init__()
        self._names = names
        self._font = names and names.font
        self.tables = []

    def picture(self, name, figure, alt, note=""):
        """Adds a picture."""
        self.append(plots.Picture(name, plots.png(figure, self._font), alt, note))

    def finish(self):
        """Returns all parts, with what stands for names that no font can write."""
        legend = page.name_legend(self._names) if self._names else []
        return [*self, *legend, *self.tables]
