internal import Foundation

/// `Sources/HTTPSource/openapi.json` as tests use it: which statuses a request may be answered with.
package enum APIDocument {
    package static let path = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .appendingPathComponent("HTTPSource/openapi.json").path

    /// By path as it is written down, and method in capitals.
    package static let statuses: [String: [String: Set<Int>]] = {
        let document = try? JSONSerialization.jsonObject(with: Data(contentsOf: URL(fileURLWithPath: path)))
        let paths = (document as? [String: Any])?["paths"] as? [String: [String: Any]] ?? [:]
        return paths.mapValues { operations in
            var byMethod: [String: Set<Int>] = [:]
            for (method, operation) in operations {
                let responses = (operation as? [String: Any])?["responses"] as? [String: Any] ?? [:]
                byMethod[method.uppercased()] = Set(responses.keys.compactMap { Int($0) }).union(
                    responses["default"] == nil ? [] : shared(document)
                )
            }
            return byMethod
        }
    }()

    /// What any request may be answered with: listed in the response that stands for the rest.
    private static func shared(_ document: Any?) -> Set<Int> {
        var value = document
        for name in ["components", "responses", "Refused", "x-status"] { value = (value as? [String: Any])?[name] }
        return Set(value as? [Int] ?? [])
    }

    /// Why an answer contradicts the document; `nil` when it does not.
    package static func complaint(_ method: String, _ target: String, _ status: Int) -> String? {
        let path = String(target.prefix { $0 != "?" })
        guard let operations = statuses[path] ?? statuses.first(where: { matches($0.key, path) })?.value else {
            return [400, 401, 403, 404, 414, 421, 431].contains(status)
                ? nil : "\(method) \(path) was answered \(status), and openapi.json does not know the path"
        }
        guard let known = operations[method] else {
            return [401, 403, 405, 421, 429].contains(status)
                ? nil : "\(method) \(path) was answered \(status), and openapi.json does not know the method"
        }
        return known.contains(status)
            ? nil : "\(method) \(path) was answered \(status); openapi.json says \(known.sorted())"
    }

    /// A name in braces stands for a number.
    private static func matches(_ template: String, _ path: String) -> Bool {
        let parts = template.split(separator: "/", omittingEmptySubsequences: false)
        let others = path.split(separator: "/", omittingEmptySubsequences: false)
        return template.contains("{") && parts.count == others.count
            && zip(parts, others).allSatisfy { $0 == $1 || $0.hasPrefix("{") && Int64($1).map { $0 > 0 } == true }
    }
}
