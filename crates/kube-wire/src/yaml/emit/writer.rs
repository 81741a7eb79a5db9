//! Lines of YAML: the position on the line, indentation and separating spaces.

/// Width of one level of indentation, in columns.
pub(super) const INDENT: usize = 2;

pub(super) struct LineWriter {
    out: String,
    column: usize,
    /// Indentation of the current collection in columns; `None` outside of any.
    pub(super) indent: Option<usize>,
    /// The last character needs no space after it.
    is_after_space: bool,
    /// The line has only indentation and block indicators so far.
    is_at_indent: bool,
}

impl Default for LineWriter {
    fn default() -> Self {
        Self {
            out: String::new(),
            column: 0,
            indent: None,
            is_after_space: true,
            is_at_indent: true,
        }
    }
}

impl LineWriter {
    /// Ends the last line and returns the text.
    pub(super) fn finish(mut self) -> String {
        self.indent = None;
        self.begin_line();
        self.out
    }

    /// Returns the number of bytes written.
    pub(super) fn len(&self) -> usize {
        self.out.len()
    }

    pub(super) fn column(&self) -> usize {
        self.column
    }

    pub(super) fn is_at_indent(&self) -> bool {
        self.is_at_indent
    }

    /// Begins an indented line, unless the current one is still empty.
    pub(super) fn begin_line(&mut self) {
        let indent = self.indent.unwrap_or(0);
        let is_begun = self.column > indent || (self.column == indent && !self.is_after_space);
        if !self.is_at_indent || is_begun {
            self.put_break('\n');
        }
        while self.column < indent {
            self.put(' ');
        }
        self.is_after_space = true;
        self.is_at_indent = true;
    }

    /// Writes a space if the last character needs one.
    pub(super) fn separate(&mut self) {
        if !self.is_after_space {
            self.put(' ');
        }
    }

    pub(super) fn indicator(&mut self, text: &str) {
        text.chars().for_each(|c| self.put(c));
        self.end_token();
    }

    /// Writes an indicator after which a block may begin on the same line: `-`, `?` or `:`.
    pub(super) fn block_indicator(&mut self, text: &str) {
        self.separate();
        let was_at_indent = self.is_at_indent;
        self.indicator(text);
        self.is_at_indent = was_at_indent;
    }

    /// Writes a character of a text.
    pub(super) fn put(&mut self, c: char) {
        self.out.push(c);
        self.column += 1;
    }

    /// Writes a line break of a text as it is.
    pub(super) fn put_break(&mut self, c: char) {
        self.out.push(c);
        self.column = 0;
        self.is_at_indent = true;
    }

    /// Marks that the line has content.
    pub(super) fn leave_indent(&mut self) {
        self.is_at_indent = false;
    }

    /// Marks that a token has ended, so that the next one needs a space.
    pub(super) fn end_token(&mut self) {
        self.is_after_space = false;
        self.is_at_indent = false;
    }

    /// Marks that the next token needs no space.
    pub(super) fn skip_separator(&mut self) {
        self.is_after_space = true;
    }
}
