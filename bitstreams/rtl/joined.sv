// The exact sum of a product p * 2^(e - 46), whose exponent and sign come a clock before it, and an f32, in 7 clocks, as a number of the product's form: its leading bit is
// bit 47, and its last bit also stands for all that follow. In fixed point with 40 bits behind the point; a sum below a half
// is given as zero, since it rounds to it.
module joined (
  input  logic clk,
  input  logic [47:0] p,
  // a clock before
  input  logic signed [9:0] e,
  input  logic sign, is_zero,
  input  logic [31:0] t,
  output logic [47:0] sum,
  output logic signed [9:0] sum_e,
  output logic sum_sign, sum_zero
);
  // 0: how far both are from their places
  logic [9:0] p_by;         // 0..29: the product's last place is at least 2^-40
  logic signed [9:0] t_by;  // below 0: t is all behind the last place
  logic t_none, p_none, p_sign, t_sign;
  logic [22:0] t_fraction;
  always_ff @(posedge clk) begin
    p_by <= e + 10'sd16;
    t_by <= $signed({2'b0, t[30:23]}) - 10'sd86;
    t_none <= t[30:23] == 0;
    p_none <= is_zero;
    p_sign <= sign;
    t_sign <= t[31];
    t_fraction <= t[22:0];
  end
  wire t_tiny = t_by[9];
  // 1, 2: shift by eights, then by ones. An 8-bit factor leaves the product's last 16 bits zero.
  logic [63:0] p1;
  logic [79:0] t1;
  logic [2:0] pf1, tf1;
  logic ps1, ts1, st1;
  wire unused = &{1'b0, p[15:0], p_by[9:5], t_by[8:6]};
  always_ff @(posedge clk) begin
    p1 <= p_none ? 64'd0 : {32'd0, p[47:16]} << {p_by[4:3], 3'b0};
    t1 <= t_tiny || t_none ? 80'd0 : {56'd0, 1'b1, t_fraction} << {t_by[5:3], 3'b0};
    pf1 <= p_by[2:0];
    tf1 <= t_by[2:0];
    ps1 <= p_sign;
    ts1 <= t_sign;
    st1 <= t_tiny && !t_none;
  end
  wire [63:0] pw = p1 << pf1;
  wire [79:0] tw = t1 << tf1;
  logic [55:0] p2, t2;
  logic ps2, ts2, st2;
  always_ff @(posedge clk) begin
    p2 <= pw[61:6];
    t2 <= tw[79:24];
    st2 <= st1 | (|tw[23:0]);
    ps2 <= ps1;
    ts2 <= ts1;
  end
  wire unused_low = &{1'b0, pw[63:62], pw[5:0]};
  // 3, 4: two's complement, and the sum. What is behind the last place is positive: -(n + x) = (-n - 1) + (1 - x).
  logic [55:0] p3, t3, n4;
  logic st3, st4;
  always_ff @(posedge clk) begin
    p3 <= ps2 ? -p2 : p2;
    t3 <= ts2 ? ~t2 + {55'b0, ~st2} : t2;
    st3 <= st2;
    n4 <= p3 + t3;
    st4 <= st3;
  end
  // 5: sign and magnitude
  logic [54:0] m5;
  logic s5, st5;
  wire [55:0] negated = ~n4 + {55'b0, ~st4};
  always_ff @(posedge clk) begin
    m5 <= n4[55] ? negated[54:0] : n4[54:0];
    s5 <= n4[55];
    st5 <= st4;
  end
  wire unused_sign = negated[55];
  // 6, 7: normalise by fours, then by ones
  wire [1:0] by4 = m5[54:51] != 0 ? 2'd0 : m5[50:47] != 0 ? 2'd1 : m5[46:43] != 0 ? 2'd2 : 2'd3;
  logic [54:0] m6;
  logic [1:0] by6;
  logic s6, st6;
  always_ff @(posedge clk) begin
    m6 <= m5 << {by4, 2'b0};
    by6 <= by4;
    s6 <= s5;
    st6 <= st5;
  end
  wire [1:0] by1 = m6[54] ? 2'd0 : m6[53] ? 2'd1 : m6[52] ? 2'd2 : 2'd3;
  wire [54:0] m7 = m6 << by1;
  always_ff @(posedge clk) begin
    sum <= {m7[54:8], |m7[7:0] | st6};
    sum_e <= 10'sd13 - $signed({6'b0, by6, by1});
    sum_zero <= ~m7[54];
    sum_sign <= s6;
  end
endmodule
