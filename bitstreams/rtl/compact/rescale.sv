// From an integer sum to 8 bits, in as many clocks as it takes: the formulas of ../requant.sv, each rounded once,
//   q = clamp(rint(f32(acc) * scale) + zero)                  add = 0
//   q = clamp(rint(fma(f32(acc), scale, t)) + zero)           add = 1
// with one mantissa that is shifted by a bit or a byte a clock. `scale` is there a clock after `start`, `t` two clocks after it.
module rescale (
  input  logic clk, rst,
  input  logic start,
  input  logic [31:0] acc,
  input  logic add,
  /* verilator lint_off UNUSEDSIGNAL */
  input  logic [31:0] scale, t,
  /* verilator lint_on UNUSEDSIGNAL */
  input  logic signed [7:0] zero, lo, hi,
  output logic done,  // for a clock
  output logic signed [7:0] q
);
  typedef enum logic [3:0] {IDLE, SIGN, TERM, NORMAL, ROUND, MULTIPLY, MULTIPLIED, ALIGN, SUM, SUMMED, WHOLE, PLACE, BOUND} state_t;
  state_t state;
  logic [50:0] m, u;         // mantissas: the number's, the term's; the leading bit above, behind it 2^-1 and so on
  logic signed [9:0] e, eu;  // their exponents
  logic s, su;
  logic [30:0] k;
  logic product;             // whether m is the product, or the sum, already
  logic summed;
  logic [9:0] whole;
  logic signed [11:0] v;
  wire [50:0] right = {1'b0, m[50:2], m[1] | m[0]}, u_right = {1'b0, u[50:2], u[1] | u[0]};
  wire [24:0] rounded = {1'b0, m[50:27]} + {24'd0, m[26] & (m[27] | (|m[25:0]))};
  wire differ = s != su;
  wire [50:0] negative = -m;
  /* verilator lint_off UNUSEDSIGNAL */
  wire [52:0] total = {1'b0, m, 1'b1} + {{1'b0, u} ^ {52{differ}}, differ};  // the last bit carries the difference's 1
  /* verilator lint_on UNUSEDSIGNAL */
  logic over;                // of the same sign: the sum is 2 or more; of others: it has the term's sign
  // The product of 24 and 24 bits, in halves.
  /* verilator lint_off UNUSEDSIGNAL */
  logic [31:0] ll, lh, hl, hh;  // of 24 bits
  /* verilator lint_on UNUSEDSIGNAL */
  wire [15:0] m_low = 16'(m[38:27]), m_high = 16'(m[50:39]), k_low = 16'(k[11:0]), k_high = 16'({1'b1, k[22:12]});
  products #(.SIGNED(0)) u_ll (.clk, .a(m_low), .b(k_low), .p(ll));
  products #(.SIGNED(0)) u_lh (.clk, .a(m_low), .b(k_high), .p(lh));
  products #(.SIGNED(0)) u_hl (.clk, .a(m_high), .b(k_low), .p(hl));
  products #(.SIGNED(0)) u_hh (.clk, .a(m_high), .b(k_high), .p(hh));
  wire [24:0] middle = {1'b0, lh[23:0]} + {1'b0, hl[23:0]};
  always_ff @(posedge clk) begin
    done <= 0;
    case (state)
      IDLE: if (start) begin
        m <= {acc, 19'd0};
        s <= acc[31];
        state <= SIGN;
      end
      SIGN: begin
        if (s) m <= negative;
        e <= 10'sd31;
        k <= scale[30:0];
        product <= 0;
        summed <= 0;
        state <= TERM;
      end
      TERM: begin
        u <= {1'b1, t[22:0], 27'd0};
        eu <= $signed({2'd0, t[30:23]}) - 10'sd127;
        su <= t[31];
        // Of nothing the product is nothing, and the sum the term.
        if (m == 0 && add) begin
          m <= {1'b1, t[22:0], 27'd0};
          e <= $signed({2'd0, t[30:23]}) - 10'sd127;
          s <= t[31];
          product <= 1;
          summed <= 1;
        end
        state <= m == 0 && (!add || t[30:23] == 0) ? WHOLE : NORMAL;
        if (m == 0 && add && t[30:23] == 0) m <= 0;
      end
      NORMAL:
        if (m[50:43] == 0) begin
          m <= m << 8;
          e <= e - 10'sd8;
        end else if (!m[50]) begin
          m <= m << 1;
          e <= e - 10'sd1;
        end else state <= product && !summed && add && eu != -10'sd127 ? ALIGN : ROUND;
      ROUND: begin  // to 24 bits, half to even
        m <= {rounded[24] | rounded[23], rounded[22:0], 27'd0};
        e <= e + $signed({9'd0, rounded[24]});
        state <= product ? WHOLE : MULTIPLY;
      end
      MULTIPLY: state <= MULTIPLIED;
      MULTIPLIED: begin
        m <= {{hh[23:0], ll[23:0]} + {11'd0, middle, 12'd0}, 3'd0};
        e <= e + $signed({2'd0, k[30:23]}) - 10'sd126;  // the leading bit, or the one behind it
        product <= 1;
        state <= NORMAL;
      end
      ALIGN:
        if (e < eu) begin
          m <= right;
          e <= e + 10'sd1;
        end else if (eu < e) begin
          u <= u_right;
          eu <= eu + 10'sd1;
        end else state <= SUM;
      SUM: begin
        {over, m} <= total[52:1];
        state <= SUMMED;
      end
      SUMMED: begin
        if (over && differ) begin
          m <= negative;
          s <= su;
        end else if (over) begin
          m <= {1'b1, right[49:0]};
          e <= e + 10'sd1;
        end
        summed <= 1;
        state <= m == 0 && !over ? WHOLE : NORMAL;
      end
      WHOLE:  // the point behind the ninth bit: less than a half is 0, 2^9 and beyond saturates
        if (m == 0 || e < -10'sd1) begin
          whole <= 0;
          state <= PLACE;
        end else if (e > 10'sd8) begin
          whole <= 10'd511;
          state <= PLACE;
        end else if (e < 10'sd8) begin
          m <= right;
          e <= e + 10'sd1;
        end else begin
          whole <= {1'b0, m[50:42]} + {9'd0, m[41] & (m[42] | (|m[40:0]))};
          state <= PLACE;
        end
      PLACE: begin
        v <= (s ? -$signed({2'b0, whole}) : $signed({2'b0, whole})) + 12'(zero);
        state <= BOUND;
      end
      default: begin
        q <= v < 12'(lo) ? lo : v > 12'(hi) ? hi : v[7:0];
        done <= 1;
        state <= IDLE;
      end
    endcase
    if (rst) state <= IDLE;
  end
endmodule
