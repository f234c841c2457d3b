/// Lays out rows in columns under a header, in a given width.
struct Table {
    enum Alignment {
        case left, right
    }

    struct Column {
        var title: String
        var alignment = Alignment.left
        /// The widest it may become when the width is bounded; `nil`: it takes what is left. One column at most.
        var widthMax: Int?
    }

    /// Blanks between columns.
    static let gap = 2
    /// The taking-what-is-left column never gets narrower: better that lines wrap than that nothing is legible.
    static let restWidthMin = 20

    var columns: [Column]
    /// As many cells as columns, from anywhere: they are cleaned here.
    var rows: [[String]]

    /// The lines, without line ends. `style` is given each padded cell with its row (`nil`: the header) and column, and may
    /// add what takes no room. Time grows with the text.
    func lines(width: Int?, style: (String, _ row: Int?, _ column: Int) -> String = { cell, _, _ in cell }) -> [String]
    {
        let bounded = width != nil
        var cells = rows.map { row in
            zip(row, columns).map { cell, column in
                DisplayText.clean(cell, widthMax: bounded ? column.widthMax : nil)
            }
        }
        var widths = columns.indices.map { column in
            cells.reduce(DisplayText.width(columns[column].title)) { max($0, DisplayText.width($1[column])) }
        }
        if let width, let rest = columns.firstIndex(where: { $0.widthMax == nil }) {
            let others = widths.indices.filter { $0 != rest }.reduce(0) { $0 + widths[$1] }
            let left = max(Self.restWidthMin, width - others - Self.gap * (columns.count - 1))
            if widths[rest] > left {
                widths[rest] = left
                for row in cells.indices { cells[row][rest] = DisplayText.clean(rows[row][rest], widthMax: left) }
            }
        }
        func line(_ row: [String], _ index: Int?) -> String {
            var text = ""
            for (column, cell) in row.enumerated() {
                let padding = String(repeating: " ", count: max(0, widths[column] - DisplayText.width(cell)))
                let isLast = column == row.count - 1
                if columns[column].alignment == .right { text += padding }
                text += style(cell, index, column)
                if columns[column].alignment == .left, !isLast { text += padding }
                if !isLast { text += String(repeating: " ", count: Self.gap) }
            }
            return text
        }
        return [line(columns.map(\.title), nil)] + cells.enumerated().map { line($1, $0) }
    }
}
