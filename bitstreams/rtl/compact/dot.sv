// The sums of a pixel, four lanes in turn: the lane at work is in front, and goes behind when it is done. A step's products of a lane
// are made in a clock and added in the next.
module dot (
  input  logic clk,
  input  logic [31:0] x, w,  // four bytes each
  input  logic [1:0] lane,
  input  logic depthwise, max, add,
  input  logic step, first,
  input  logic [31:0] other,  // what is added to a finished sum: a bias, or the sum of the tiles before
  input  logic turn,          // the next lane; not in the clock behind a step
  output logic [31:0] front, total
);
  logic [31:0] sums[0:3];
  wire [7:0] own = x[lane*8+:8];
  logic signed [15:0] p0, p1, p2, p3;
  products #(.HALVES(1)) u_low (.clk, .a({x[15:8], depthwise ? own : x[7:0]}), .b(w[15:0]), .p({p1, p0}));
  products #(.HALVES(1)) u_high (.clk, .a(x[31:16]), .b(w[31:16]), .p({p3, p2}));
  wire signed [16:0] low = 17'(p0) + 17'(p1), high = 17'(p2) + 17'(p3);
  wire signed [17:0] sum = 18'(low) + 18'(high);
  logic stepped, fresh;
  logic [7:0] byte1;
  always_ff @(posedge clk) begin
    stepped <= step;
    fresh <= first;
    byte1 <= own;
  end
  assign front = sums[0];
  wire greater = $signed(byte1) > $signed(front[7:0]);
  assign total = (stepped & fresh ? 32'd0 : front) + (stepped ? 32'(sum) : other);
  logic [31:0] after;
  always_comb begin
    after = total;
    // Of an addition the first operand below, the second above.
    if (max) after = fresh | greater ? {{24{byte1[7]}}, byte1} : front;
    if (add) after = fresh ? {24'd0, byte1} : {16'd0, byte1, front[7:0]};
    if (!stepped) after = front;
  end
  always_ff @(posedge clk)
    if (stepped | turn) begin
      sums[3] <= after;
      for (int i = 0; i < 3; i++) sums[i] <= sums[i+1];
    end
endmodule
