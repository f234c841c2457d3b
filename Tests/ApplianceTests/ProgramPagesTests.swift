import CShims
import Foundation
import Testing

/// Giving back pages of the program and its libraries, in this process, which has libraries of every kind.
struct ProgramPagesTests {
    /// KiB of mapped files that nobody may write now and that hold other than their file: what the loader relocated (RELRO).
    private func relocatedKilobytes() throws -> Int {
        var isMeant = false
        var sum = 0
        for line in try String(contentsOfFile: "/proc/self/smaps", encoding: .utf8).split(separator: "\n") {
            if line.first.map({ $0.isHexDigit && !$0.isUppercase }) == true {
                isMeant = line.contains(" r--p ") && line.contains("/")
            }
            if isMeant, line.hasPrefix("Anonymous:") { sum += Int(line.split(separator: " ")[1]) ?? 0 }
        }
        return sum
    }

    @Test func `what the loader relocated is not given back`() throws {
        let before = try relocatedKilobytes()
        #expect(before > 100)
        logboom_release_program_pages()
        // Tests beside this one may open libraries, and close none.
        #expect(try relocatedKilobytes() >= before)
    }

    @Test func `libraries opened and closed meanwhile work`() async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                while !Task.isCancelled { logboom_release_program_pages() }
            }
            for _ in 0..<300 {
                // Relocated at once, and each time anew unless another test has it open.
                let library = try #require(dlopen("libpq.so.5", RTLD_NOW | RTLD_LOCAL))
                let symbol = try #require(dlsym(library, "PQencryptPassword"))
                typealias Encrypt =
                    @convention(c) (
                        UnsafePointer<CChar>, UnsafePointer<CChar>
                    ) -> UnsafeMutablePointer<CChar>?
                let text = try #require(unsafeBitCast(symbol, to: Encrypt.self)("secret", "user"))
                // MD5 of both, one behind the other, as PostgreSQL's manual says of pg_authid.rolpassword.
                #expect(String(cString: text) == "md520eb1b22a92b5c573dc1eb4331fc49ee")
                free(text)
                dlclose(library)
            }
            group.cancelAll()
        }
    }
}
