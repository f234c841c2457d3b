/// A five-character SQLSTATE (PostgreSQL manual, appendix A "PostgreSQL Error Codes"). Two characters name its class, the
/// rest the condition: match on the class first, on the whole code where one condition differs from its neighbours.
package struct SQLState: Sendable, Hashable, CustomStringConvertible {
    package let code: String

    /// `nil` unless it is five characters out of `0`-`9` and `A`-`Z`, as the standard has it.
    package init?(_ text: String) {
        let isCharacter = { (byte: UInt8) in (0x30...0x39).contains(byte) || (0x41...0x5A).contains(byte) }
        guard text.utf8.count == 5, text.utf8.allSatisfy(isCharacter) else { return nil }
        code = text
    }

    /// The first two characters.
    package var classCode: Substring { code.prefix(2) }

    package var description: String { code }

    /// The condition's name in the manual, of those that a value can bring about; `nil` of others. For a person who reads a
    /// dead letter's reason.
    package var condition: String? {
        switch code {
        case "22001": "string_data_right_truncation"
        case "22003": "numeric_value_out_of_range"
        case "22008": "datetime_field_overflow"
        case "22021": "character_not_in_repertoire"
        case "22P02": "invalid_text_representation"
        case "22P05": "untranslatable_character: the database's encoding does not have it"
        case "23502": "not_null_violation"
        case "23503": "foreign_key_violation"
        case "23505": "unique_violation"
        case "23514": "check_violation"
        case "23P01": "exclusion_violation"
        case "54000": "program_limit_exceeded"
        case "P0001": "raise_exception in a trigger or function"
        default: nil
        }
    }

    /// What a failure with this state means for what was being delivered, when the server's answer says that nothing was
    /// applied.
    ///
    /// Unknown classes are transient: trying again is the answer that loses nothing, and the attempt is paced.
    package var consequence: Consequence {
        switch code {
        // Read only: a standby, or a server set so because its disk is full. It ends when somebody or something switches.
        case "25006": return .transient
        // Not knowing is the whole content of these three.
        case "40003", "08007", "2D000": return .ambiguous
        // Row security and triggers of the user's own: only they can change them.
        case "44000", "27000": return .permanent
        // Out of lock table space, too complex a statement: the server's settings, or our chunk; smaller batches may pass.
        case "54001", "53400": return .transient
        default: break
        }
        switch classCode {
        case "08": return .connection
        // 40 serialization failure and deadlock, 53 no disk or connections left, 55 lock not available, 57 shut down,
        // starting up or statement cancelled, 58 I/O error outside, 25/2D/0B/34 a transaction in a state we did not expect.
        case "40", "53", "55", "57", "58", "25", "2D", "0B", "24", "34", "26", "XX", "F0": return .transient
        // 28 password, 3D no such database, 3F no such schema, 42 syntax, missing table or right, 0A unsupported by this
        // server, 0L/0P grants and roles, 2B dependent objects.
        case "28", "3D", "3F", "42", "0A", "0L", "0P", "2B", "HV": return .permanent
        // 22 a value the type does not take, 23 a constraint, 21 cardinality, 54 a limit (index row too long), 44 a view's
        // check option, P0 an exception somebody's trigger raised over this very row.
        case "21", "22", "23", "54", "44", "P0", "09", "38", "39": return .poison
        default: return .transient
        }
    }

    /// Like `FailureClass`, which this target does not know, and one more: a connection-level state, which is ambiguous only
    /// if a COMMIT was on its way.
    package enum Consequence: Sendable { case transient, permanent, ambiguous, poison, connection }

    /// A table or a column is missing: somebody changed the schema under us, and running the migrations again may mend it.
    package var isSchemaMissing: Bool { code == "42P01" || code == "42703" || code == "3F000" }

    /// Whether the server's primary message names only objects and settings. That of a data exception quotes the value.
    var messageIsSafe: Bool {
        ["08", "0A", "25", "28", "3D", "3F", "40", "42", "53", "55", "57", "58", "XX"].contains(classCode)
    }
}
