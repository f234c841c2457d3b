internal import Admission
internal import HTTPServing
internal import HTTPWire
internal import RecordDecoding

/// What may be asked for, with what the path says of it.
enum Route {
    case ingest(IntakeRoute)
    case index, document
    case flush, health, databaseHealth, live, ready, stats, metrics, patterns, tail
    case deadLetters, deadLetter(Int64), replay(deadLetter: Int64)

    var methods: [HTTPRequest.Method] {
        switch self {
        case .ingest, .flush, .replay: [.post]
        case .index, .document, .health, .databaseHealth, .live, .ready, .stats, .metrics, .patterns, .deadLetters:
            [.get, .head]
        case .deadLetter: [.get, .head, .delete]
        // An answer without an end has no head to show alone.
        case .tail: [.get]
        }
    }

    func takes(_ method: HTTPRequest.Method) -> Bool {
        // Asked for every post.
        if case .ingest = self { return method == .post }
        return methods.contains(method)
    }

    /// What a token must be good for; `nil`: nothing. Whether the process lives is no secret, and who watches it has no token.
    func scope(of method: HTTPRequest.Method) -> AccessScope? {
        switch self {
        case .live: nil
        case .ingest: .ingest
        case .index, .document, .health, .databaseHealth, .ready, .stats, .metrics, .patterns, .tail, .deadLetters:
            .read
        case .deadLetter: method == .delete ? .admin : .read
        case .flush, .replay: .admin
        }
    }
}

/// Every path of the daemon, once: requests are found by it, `GET /` shows it, and a test compares it with openapi.json.
struct RouteTable {
    struct Row {
        var path: StaticString
        var route: Route
        /// For a person, in a few words.
        var what: StaticString
    }

    /// Paths that stand for themselves. Those that take records come first, for they are asked for most.
    static let rows =
        IntakeRoute.table.map { Row(path: $0.path, route: .ingest($0), what: "takes records") } + [
            Row(path: "/", route: .index, what: "this list"),
            Row(path: "/openapi.json", route: .document, what: "the same in detail, for programs (OpenAPI 3.1)"),
            Row(path: "/flush", route: .flush, what: "makes everything durable"),
            Row(path: "/health", route: .health, what: "how the service is"),
            Row(path: "/health/db", route: .databaseHealth, what: "how the database is"),
            Row(path: "/livez", route: .live, what: "whether the service turns"),
            Row(path: "/readyz", route: .ready, what: "whether records may come in"),
            Row(path: "/stats", route: .stats, what: "counts"),
            Row(path: "/metrics", route: .metrics, what: "counts for Prometheus"),
            Row(path: "/v1/patterns", route: .patterns, what: "the patterns stored, most frequent first"),
            Row(path: "/v1/tail", route: .tail, what: "records as they come"),
            Row(path: "/v1/dead-letters", route: .deadLetters, what: "what no database took"),
        ]

    /// Paths with an id in them, as they are written down.
    static let patterns = [
        Row(path: "/v1/dead-letters/{id}", route: .deadLetter(1), what: "one of these; DELETE removes it"),
        Row(path: "/v1/dead-letters/{id}/replay", route: .replay(deadLetter: 1), what: "sends it again"),
    ]

    private let rows = Self.rows

    /// The row of a path that stands for itself.
    func place(of path: HTTPText) -> Int? {
        for place in rows.indices where path == rows[place].path { return place }
        return nil
    }

    /// - Parameter place: of the path, when it was looked for before; else `nil`.
    func route(_ path: HTTPText, at place: Int?) -> Route? {
        if let place { return rows[place].route }
        return Self.deadLetterRoute(path)
    }

    /// `/v1/dead-letters/ID` and `/v1/dead-letters/ID/replay`.
    private static func deadLetterRoute(_ path: HTTPText) -> Route? {
        let prefix: StaticString = "/v1/dead-letters/"
        guard path.hasPrefix(prefix) else { return nil }
        let parts = String(path.dropFirst(prefix.utf8CodeUnitCount))
            .split(separator: "/", omittingEmptySubsequences: false)
        guard let id = parts.first.flatMap({ Int64($0) }), id > 0 else { return nil }
        switch parts.dropFirst() {
        case []: return .deadLetter(id)
        case ["replay"]: return .replay(deadLetter: id)
        default: return nil
        }
    }
}
