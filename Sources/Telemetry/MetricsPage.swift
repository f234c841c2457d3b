/// Builds a page in the Prometheus text exposition format 0.0.4 (prometheus.io, "Exposition formats").
package struct MetricsPage {
    package enum Kind: String { case counter, gauge }

    package static let contentType = "text/plain; version=0.0.4; charset=utf-8"

    package private(set) var text = ""

    package init() {
        text.reserveCapacity(8192)
    }

    /// One metric with one value.
    package mutating func add(_ kind: Kind, _ name: String, _ help: String, _ value: Double) {
        begin(kind, name, help)
        sample(name, [], value)
    }

    package mutating func add(_ kind: Kind, _ name: String, _ help: String, _ value: Int) {
        add(kind, name, help, Double(value))
    }

    /// One metric with a value for each label set. Label values come from closed sets, never from records.
    package mutating func add(
        _ kind: Kind,
        _ name: String,
        _ help: String,
        _ samples: [(labels: [(String, String)], value: Int)]
    ) {
        begin(kind, name, help)
        for entry in samples { sample(name, entry.labels, Double(entry.value)) }
    }

    private mutating func begin(_ kind: Kind, _ name: String, _ help: String) {
        text += "# HELP \(name) \(help)\n# TYPE \(name) \(kind.rawValue)\n"
    }

    private mutating func sample(_ name: String, _ labels: [(String, String)], _ value: Double) {
        text += name
        if !labels.isEmpty {
            text += "{" + labels.map { "\($0.0)=\"\(Self.escaped($0.1))\"" }.joined(separator: ",") + "}"
        }
        // Whole numbers without exponent or fraction: easier to read, and exact below 2^53.
        if value == value.rounded(), abs(value) < 9e15 {
            text += " \(Int64(value))\n"
        } else {
            text += " \(value)\n"
        }
    }

    private static func escaped(_ value: String) -> String {
        var escaped = ""
        for character in value {
            switch character {
            case "\\": escaped += "\\\\"
            case "\"": escaped += "\\\""
            case "\n": escaped += "\\n"
            default: escaped.append(character)
            }
        }
        return escaped
    }
}
