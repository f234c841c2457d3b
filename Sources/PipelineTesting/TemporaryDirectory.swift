package import Foundation

/// A folder of a test's own below the system's temporary one, removed with everything in it when the object goes.
package final class TemporaryDirectory: Sendable {
    /// Short on purpose: a unix socket's path has room for 107 bytes.
    package let path: String

    package var url: URL { URL(fileURLWithPath: path, isDirectory: true) }

    /// - Parameter mode: 0o700 keeps others out; 0o755 lets another user (`postgres`) in.
    package init(mode: Int = 0o700) throws {
        var template = Array("\(FileManager.default.temporaryDirectory.path)/lb-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else {
            throw TestingError("create a temporary folder: errno \(errno)")
        }
        path = String(decoding: template.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        guard chmod(path, mode_t(mode)) == 0 else {
            throw TestingError("set the mode of \(path): errno \(errno)")
        }
    }

    deinit {
        try? FileManager.default.removeItem(atPath: path)
    }

    /// The path of an entry in it, which need not exist.
    package func file(_ name: String) -> String { "\(path)/\(name)" }
}

/// What went wrong in the test's own surroundings, in a sentence.
package struct TestingError: Error, Sendable, CustomStringConvertible {
    package let description: String

    package init(_ description: String) {
        self.description = description
    }
}
