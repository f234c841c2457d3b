import Foundation

/// Package.swift as SwiftPM itself understands it.
struct Manifest: Sendable {
    struct Target: Sendable {
        var name: String
        /// `regular`, `executable`, `test` or `system`.
        var kind: String
        /// Other targets of this package.
        var targets: Set<String> = []
        /// Products of other packages.
        var products: Set<String> = []
        /// Files that are embedded, relative to the target's folder.
        var embedded: Set<String> = []
        /// Folder relative to the top, where it is not the usual one.
        var path: String?
    }

    var targets: [String: Target]

    struct Problem: Error, CustomStringConvertible {
        var description: String
    }

    /// Read once a test process: about a second. `dump-package` only evaluates the manifest; it takes no lock on the
    /// build folder, and so works while `swift test` holds it. A scratch path of its own keeps that so.
    static let current: Result<Manifest, any Error> = Result { try read() }

    private static func read() throws -> Manifest {
        let scratch = FileManager.default.temporaryDirectory.appendingPathComponent("logboom-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(at: scratch) }
        let arguments = ["package", "--scratch-path", scratch.path, "dump-package"]
        let result = try output(of: swiftExecutable(), arguments)
        guard result.status == 0 else {
            throw Problem(description: "swift package dump-package ended with \(result.status): \(result.errors)")
        }
        return Manifest(dump: try JSONDecoder().decode(Dump.self, from: result.bytes))
    }

    private static func swiftExecutable() throws -> String {
        let path = ProcessInfo.processInfo.environment["PATH"] ?? ""
        let folders =
            path.split(separator: ":").map(String.init)
            + ["/opt/swift/usr/bin", "/usr/libexec/swift/bin", "/usr/local/swift/usr/bin", "/usr/bin"]
        guard
            let found = folders.map({ $0 + "/swift" }).first(where: FileManager.default.isExecutableFile(atPath:))
        else { throw Problem(description: "no `swift` on PATH or in the usual folders") }
        return found
    }

    private init(dump: Dump) {
        targets = [:]
        for entry in dump.targets {
            var target = Target(name: entry.name, kind: entry.type, path: entry.path)
            for dependency in entry.dependencies {
                if let name = dependency.byName?.compactMap(\.text).first ?? dependency.target?.compactMap(\.text).first
                {
                    target.targets.insert(name)
                }
                if let name = dependency.product?.compactMap(\.text).first {
                    target.products.insert(name)
                }
            }
            target.embedded = Set(entry.resources.filter { $0.rule["embedInCode"] != nil }.map(\.path))
            targets[entry.name] = target
        }
    }
}

/// The part of `dump-package` that is needed. Dependencies are arrays of strings, nulls and conditions.
private struct Dump: Decodable {
    struct Anything: Decodable {
        var text: String?
        init(from decoder: any Decoder) throws {
            text = try? decoder.singleValueContainer().decode(String.self)
        }
    }

    struct Dependency: Decodable {
        var byName: [Anything]?
        var target: [Anything]?
        var product: [Anything]?
    }

    struct Resource: Decodable {
        var path: String
        var rule: [String: Anything]
    }

    struct Target: Decodable {
        var name: String
        var type: String
        var path: String?
        var dependencies: [Dependency]
        var resources: [Resource]
    }

    var targets: [Target]
}
